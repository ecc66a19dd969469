"""Virtual hospitals for the benchmarks, so small that nearly all a run costs is the federation's."""

from pathlib import Path
from typing import Any, Final

import yaml

NETWORK: Final[dict[str, Any]] = {"preset": "small", "network": {"decoder_widths": [256, 64, 32, 32]}}
"""`small` with a wider deepest level of its decoder: 5.0 million parameters."""

_STUDIES: Final = 4
_GRID: Final = {"rows": 32, "columns": 32, "spacing_mm": 7.0}
_TRAINING: Final = {"slices_per_study": 1, "positive_slices_per_study": 1, "studies_per_step": 2}


def drawn(folder: Path, hospitals: int) -> Path:
    """Hospitals of four studies of eight slices of 64 x 64: two train, which is one step, and two are tested on."""
    from simulation.phantom import PhantomSettings, write_federation  # a second, and most want the network alone

    write_federation(folder, PhantomSettings(hospitals, _STUDIES, slices=8, matrix=64), 2, lambda: None)
    return folder


def configuration(path: Path, hospitals: Path, rounds: int, model: dict[str, Any] = NETWORK) -> Path:
    """Settings for `bloodnet-simulate run --config`: one step a round, on one slice of each study."""
    settings = {
        "rounds": rounds,
        "local_epochs": 1,
        "data": {"sources": {"folder": str(hospitals)}, "central": False},
        "model": {**model, "preprocessing": _GRID, "training": _TRAINING},
    }
    path.write_text(yaml.safe_dump(settings))
    return path
