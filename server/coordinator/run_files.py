"""What a run has written so far, read while it goes on; whatever is not there yet is empty."""

import json
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import yaml

from bloodnet_model.chained_log import latest
from bloodnet_model.errors import DataError
from bloodnet_model.run_metrics import METRICS
from server.journal import FOLDER, LOG
from server.run_folder import CONFIG, ROUNDS

_UPDATE: Final = "update"


def run_name(folder: Path) -> str:
    """By what sites know the run: what `bloodnet-client allow` wants."""
    try:
        return next((str(event["run"]) for event in latest(folder / FOLDER / LOG) if "run" in event), "")
    except DataError:
        return ""


def not_admitted(folder: Path) -> dict[str, str]:
    """Who did not pass the roll call, and the code of why."""
    return dict(metrics_of(folder).get("not_admitted", {}))


def answered(folder: Path) -> set[str]:
    """Sites whose update in the round that goes on is in the journal."""
    try:
        updates = takewhile(lambda event: event["event"] == _UPDATE, latest(folder / FOLDER / LOG))
        return {str(event["site"]) for event in updates}
    except DataError:  # no journal yet
        return set()


def kept_settings(folder: Path) -> dict[str, Any]:
    try:
        return dict(yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError):
        return {}


def round_lines(folder: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in (folder / ROUNDS).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []


def metrics_of(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / METRICS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def written(path: Path) -> str:
    """When a file was last written; empty where there is none."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime).astimezone().isoformat(timespec="seconds")
    except OSError:
        return ""
