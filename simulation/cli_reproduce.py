"""`bloodnet-simulate reproduce`: published tables and this project's own, computed anew."""

import json
from pathlib import Path
from typing import Annotated

import typer

from simulation.cli_options import AsJson, stderr

app = typer.Typer(help="Published tables and this project's own, computed anew.", no_args_is_help=True)


@app.command("cq500-table")
def cq500_table(
    data: Annotated[Path, typer.Option(help="Folder with CQ500's reads.csv and prediction_probabilities.csv.")],
    sites: Annotated[int, typer.Option(help="Virtual hospitals to deal the 491 scans to.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the deal; the pooled AUC does not depend on it.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Qure's published AUCs on CQ500, from score histograms that virtual hospitals send."""
    from rich.console import Console

    from simulation.reproduce import cq500_table, print_table, to_json

    rows = cq500_table(data, sites, seed)
    if as_json:
        print(to_json(rows))
    else:
        print_table(rows, Console())


@app.command("synthetic-heads")
def synthetic_heads(
    out: Annotated[Path, typer.Option(help="Folder for the picture.")] = Path(),
    studies: Annotated[int, typer.Option(min=4, help="Studies with blood to draw; a third of a second each.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the heads.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Synthetic heads beside what was measured on real ones: HU and volume of blood, noise, and a picture."""
    from rich.console import Console
    from rich.table import Table

    from bloodnet_model.commands import bars
    from simulation.synthetic_heads import draw_picture, examine

    with bars(stderr()) as on_progress:
        lines, shown = examine(studies, seed, lambda done: on_progress("drawing and measuring", done, studies))
    picture = draw_picture(shown, seed, out)
    if as_json:
        print(json.dumps({"picture": str(picture), "lines": [vars(line) for line in lines]}))
        return
    table = Table("", "real", "synthetic")
    for line in lines:
        table.add_row(line.what, line.real, line.synthetic)
    Console().print(table)
    print(f"picture  {picture}")
