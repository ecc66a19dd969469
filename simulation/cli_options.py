"""Options that several of `bloodnet-simulate`'s commands have, spelled once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout and nothing else there.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes; the result does not depend on it.")]
Datasets = Annotated[
    list[str] | None,
    typer.Option(help="synthetic, folder (of site folders) or a name that `datasets` lists; or several NAME=DIR."),
]
DataFolder = Annotated[Path | None, typer.Option(help="Where the one data set lies.")]
STRATEGY_HELP = (
    "fedavg, fedprox, fedavgm, fedadam, fedyogi, fednova, scaffold, fedbn, ditto, trimmed-mean, median, krum, "
    "or module:Class of a Flower strategy."
)
Sites = Annotated[int | None, typer.Option(help="Number of virtual hospitals.")]
Studies = Annotated[int | None, typer.Option(help="Synthetic studies a hospital.")]
Rounds = Annotated[int | None, typer.Option(help="Rounds of training.")]
LocalEpochs = Annotated[int | None, typer.Option(help="Epochs at each site and round.")]
PresetName = Annotated[
    str | None, typer.Option(help="tiny (2 CPU cores, minutes), small (5 M parameters) or base (25 M).")
]
EngineName = Annotated[
    str,
    typer.Option(
        help="local, ray (several GPUs or machines) or loopback (rehearsal: real servers, TLS); the same bytes."
    ),
]
ConfigFile = Annotated[Path | None, typer.Option(help="Settings file, such as runs/x/config.yaml; flags go first.")]


def stderr() -> "Console":
    from rich.console import Console

    return Console(stderr=True)
