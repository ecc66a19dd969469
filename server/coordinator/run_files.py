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
from server.journal import FOLDER
from server.run_folder import CONFIG, ROUNDS
from server.run_log import LOG

_UPDATE: Final = "update"
_SINCE_A_STOP: Final = ("reopened", "called")
_BEFORE_THE_CALL: Final = ("run", "reopened", "rewound")


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
        events = latest(folder / FOLDER / LOG)
        this_round = takewhile(lambda event: event["event"] in (_UPDATE, *_SINCE_A_STOP), events)
        return {str(event["site"]) for event in this_round if event["event"] == _UPDATE}
    except DataError:  # no journal yet
        return set()


def roll_call_since(folder: Path) -> str:
    """When the roll call began that goes on; empty where there is none."""
    log = folder / FOLDER / LOG
    try:
        last = next(latest(log), {"event": ""})
    except DataError:
        return ""
    is_first = last["event"] == "weights" and last["round"] == 0
    return written(log) if is_first or last["event"] in _BEFORE_THE_CALL else ""


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
