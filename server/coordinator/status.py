"""What is going on: who is connected, working, late, refused or set aside, for how long, and when each run will end.

Read from the SuperLink and from what the runs write; nothing is asked of a site, and no run is disturbed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import yaml

from bloodnet_model.chained_log import latest
from bloodnet_model.errors import DataError
from bloodnet_model.run_metrics import METRICS, NO_ANSWER, REFUSED
from server.certificates import shown
from server.coordinator.home import Home
from server.coordinator.init import RENEWED_DAYS
from server.coordinator.site_list import ListedSite, listed
from server.journal import FOLDER, LOG
from server.launch import NoAnswer, superlink
from server.run_folder import CONFIG, ROUNDS

_UPDATE: Final = "update"
AWAY, CONNECTED, WORKING, ANSWERED = "away", "connected", "working", "answered"
LATE, REFUSED_NOW, SET_ASIDE, NOT_ADMITTED = "late", "refused", "set aside", "not in the run"


@dataclass(frozen=True)
class SiteState:
    """A site, what it does, since when (ISO 8601, empty if nobody knows), and a code of why if there is one."""

    site: str
    version: str
    state: str
    since: str
    reason: str = ""


@dataclass(frozen=True)
class RunState:
    """A run that goes on; `ends_at` is ISO 8601, None before its first round is over."""

    number: int
    folder: str
    round: int
    rounds: int
    ends_at: str | None
    sites: tuple[SiteState, ...]


@dataclass(frozen=True)
class Status:
    """All of it; `others` are admitted sites in no run, `warnings` whole sentences."""

    is_up: bool
    runs: tuple[RunState, ...]
    others: tuple[SiteState, ...]
    certificate_days: int
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def status_of(home: Home, now: datetime) -> Status:
    """What is known at `now`; raises DataError where the coordinator's own files are damaged."""
    sites = {site.site: site for site in listed(home) if not site.revoked}
    with superlink(home.connection) as link:
        try:
            running: dict[int, Path] | None = link.running()
        except NoAnswer:
            running = None
    runs = tuple(run_state(number, folder, sites) for number, folder in sorted((running or {}).items()))
    busy = {site.site for run in runs for site in run.sites}
    others = tuple(_idle(site) for name, site in sites.items() if name not in busy)
    left = shown(home.certificate).days_left(now)
    return Status(running is not None, runs, others, left, tuple(_warnings(home, left, running is not None, now)))


def run_state(number: int, folder: Path, sites: Mapping[str, ListedSite]) -> RunState:
    """A run by what lies in its folder, which may be little before its first round is over.

    sites: those that are admitted, by name
    """
    settings, lines, metrics = _settings(folder), _lines(folder), _metrics(folder)
    last = lines[-1]["sites"] if lines else {}
    answered = _answered(folder)
    names = settings.get("sites") or sorted({*last, *metrics.get("sites", {})})
    began = _written(folder / ROUNDS) or _written(folder / CONFIG)
    refused = metrics.get("not_admitted", {})
    states = []
    for name in names:
        site = sites.get(name)
        state, since, reason = _state(site, last.get(name, {}), refused.get(name, ""), name in answered, began)
        version = site.version if site else metrics.get("sites", {}).get(name, {}).get("version", "")
        states.append(SiteState(name, version, state, since, reason))
    ends_at = (metrics.get("forecast") or {}).get("ends_at")
    return RunState(number, str(folder), len(lines), int(settings.get("rounds", 0)), ends_at, tuple(states))


def _state(
    site: ListedSite | None, entry: Mapping[str, Any], not_admitted: str, has_answered: bool, began: str
) -> tuple[str, str, str]:
    """State, since when, and why. entry: the site's in the line of the last round that is over."""
    if not_admitted:
        return NOT_ADMITTED, began, not_admitted
    if entry.get("status") == "set-aside":
        return SET_ASIDE, began, "bloodnet-server readmit"
    if site is None or not site.connected:
        return AWAY, site.seen if site else "", ""
    if has_answered:
        return ANSWERED, began, ""
    if entry.get("status") == REFUSED:
        reason = str(entry.get("reason", ""))
        return (LATE if reason == NO_ANSWER else REFUSED_NOW), began, reason
    return WORKING, began, ""


def _idle(site: ListedSite) -> SiteState:
    return SiteState(site.site, site.version, CONNECTED if site.connected else AWAY, site.seen)


def _warnings(home: Home, days_left: int, is_up: bool, now: datetime) -> Iterable[str]:
    if not is_up:
        yield f"The SuperLink does not run; `bloodnet-server up {home.folder}` starts it."
    if days_left <= RENEWED_DAYS:
        yield (
            f"The server's certificate expires in {days_left} days; `bloodnet-server renew {home.folder}` renews it, "
            "while runs go on. Hospitals need nothing new."
        )
    authority = shown(home.authority).days_left(now)
    if authority <= RENEWED_DAYS * 3:
        yield f"The authority expires in {authority} days, and hospitals trust it; see docs/coordinator.md."


def _answered(folder: Path) -> set[str]:
    """Sites whose update in the round that goes on is in the journal."""
    try:
        updates = takewhile(lambda event: event["event"] == _UPDATE, latest(folder / FOLDER / LOG))
        return {str(event["site"]) for event in updates}
    except DataError:  # no journal yet
        return set()


def _settings(folder: Path) -> dict[str, Any]:
    try:
        return dict(yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError):
        return {}


def _lines(folder: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in (folder / ROUNDS).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []


def _metrics(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / METRICS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _written(path: Path) -> str:
    """When a file was last written; empty where there is none."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime).astimezone().isoformat(timespec="seconds")
    except OSError:
        return ""
