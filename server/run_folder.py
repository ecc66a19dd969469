"""The run folder: what a run leaves behind, each file written whole or not at all.

config.yaml · rounds.jsonl · metrics.json · model.safetensors · model-best.safetensors · report.html
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bloodnet_model.errors import DataError
from bloodnet_model.files import write_whole, writing_whole
from bloodnet_model.run_metrics import METRICS
from server.settings import RunSettings

if TYPE_CHECKING:
    from bloodnet_model.network import BloodNet

CONFIG, ROUNDS, REPORT = "config.yaml", "rounds.jsonl", "report.html"
MODEL, BEST_MODEL = "model.safetensors", "model-best.safetensors"


def check_run_folder(path: Path) -> None:
    """Raises DataError where `path` holds a run, which is never touched, or could not be written. Changes nothing."""
    if (path / CONFIG).exists():
        raise DataError(f"{path}: holds a run already; give another folder with --out, or move this one away.")
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise DataError(f"{path}: cannot be made in {nearest}; give a writable folder with --out.")


def create_run_folder(path: Path, settings: RunSettings) -> None:
    """Make the folder and write the resolved settings into it."""
    check_run_folder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be made ({error.strerror}); give a writable folder with --out.") from None
    write_whole(path / CONFIG, yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))


def write_rounds(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    with writing_whole(path / ROUNDS) as file:
        file.writelines(f"{json.dumps(line)}\n" for line in lines)


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """`rounds` come last, one by one and a line each: a long run's are much, and may be any iterable."""
    others = json.dumps({name: of for name, of in metrics.items() if name != "rounds"}, indent=1)
    with writing_whole(path / METRICS) as file:
        file.write(others.removesuffix("\n}") + ',\n "rounds": [')
        file.writelines(f"{',' * (place > 0)}\n  {json.dumps(line)}" for place, line in enumerate(metrics["rounds"]))
        file.write("\n ]\n}")


def read_metrics(path: Path) -> dict[str, Any]:
    """What `write_metrics` wrote; raises DataError, naming the folder, where there is none."""
    try:
        return dict(json.loads((path / METRICS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise DataError(f"{path}: holds no readable {METRICS}; give the folder of a run.") from None


def write_model(path: Path, name: str, network: "BloodNet", settings: RunSettings) -> None:
    from bloodnet_model.weights import save_network  # torch takes seconds, and a report needs none of it

    save_network(path / name, network, settings.model)
