"""What is going on: who is connected, working, late, refused or set aside, for how long, and when each run will end.

Read from the SuperLink and from what the runs write; nothing is asked of a site, and no run is disturbed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bloodnet_model.run_metrics import NO_ANSWER, REFUSED
from server.certificates import shown
from server.coordinator.home import Home
from server.coordinator.init import RENEWED_DAYS
from server.coordinator.refusals import Refusals, refusals
from server.coordinator.run_files import (
    answered,
    kept_settings,
    metrics_of,
    not_admitted,
    roll_call_since,
    round_lines,
    run_name,
    written,
)
from server.coordinator.site_list import ListedSite, listed
from server.launch import NoAnswer, superlink
from server.run_folder import CONFIG, ROUNDS

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
    """A run that goes on, `name` to its sites; times are ISO 8601.

    ends_at:    None before its first round is over
    call_until: during its roll call, until when it waits for sites that are away; else None
    """

    number: int
    folder: str
    name: str
    round: int
    rounds: int
    ends_at: str | None
    call_until: str | None
    sites: tuple[SiteState, ...]


@dataclass(frozen=True)
class Status:
    """All of it; `others` are admitted sites in no run, `warnings` whole sentences, `refusals` those at the door."""

    is_up: bool
    runs: tuple[RunState, ...]
    others: tuple[SiteState, ...]
    certificate_days: int
    warnings: tuple[str, ...]
    refusals: Refusals

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
    warnings = tuple(_warnings(home, left, running is not None, now))
    return Status(running is not None, runs, others, left, warnings, refusals(home, now))


def run_state(number: int, folder: Path, sites: Mapping[str, ListedSite]) -> RunState:
    """A run by what lies in its folder, which may be little before its first round is over.

    sites: those that are admitted, by name
    """
    settings, lines, metrics = kept_settings(folder), round_lines(folder), metrics_of(folder)
    last = lines[-1]["sites"] if lines else {}
    there = answered(folder)
    names = settings.get("sites") or sorted({*last, *metrics.get("sites", {})})
    call = roll_call_since(folder)
    began = call or written(folder / ROUNDS) or written(folder / CONFIG)
    refused = not_admitted(folder)
    states = []
    for name in names:
        site = sites.get(name)
        told = _state(site, last.get(name, {}), refused.get(name, ""), name in there, began)
        state, since, reason = _called(site) if call else told
        version = site.version if site else metrics.get("sites", {}).get(name, {}).get("version", "")
        states.append(SiteState(name, version, state, since, reason))
    ends_at = (metrics.get("forecast") or {}).get("ends_at")
    rounds = int(settings.get("rounds", 0))
    until = _later(call, settings.get("wait_s", 0.0)) if call else None
    return RunState(number, str(folder), run_name(folder), len(lines), rounds, ends_at, until, tuple(states))


def _later(then: str, seconds: float) -> str:
    return (datetime.fromisoformat(then) + timedelta(seconds=seconds)).isoformat()


def _called(site: ListedSite | None) -> tuple[str, str, str]:
    """As `_state`, during a roll call: whether a site that is there has answered, nobody has written down yet."""
    if site is None or not site.connected:
        return AWAY, site.seen if site else "", ""
    return CONNECTED, site.seen, ""


def _state(
    site: ListedSite | None, entry: Mapping[str, Any], not_admitted: str, has_answered: bool, began: str
) -> tuple[str, str, str]:
    """State, since when, and why. entry: the site's in the line of the last round that is over."""
    if not_admitted:
        return NOT_ADMITTED, began, not_admitted
    if entry.get("status") == "set-aside":
        return SET_ASIDE, began, "until-readmitted"
    if site is None or not site.connected:
        return AWAY, site.seen if site else "", ""
    if has_answered:
        return ANSWERED, began, ""
    if entry.get("status") == REFUSED:
        reason = str(entry.get("reason", ""))
        return (LATE if reason == NO_ANSWER else REFUSED_NOW), began, reason
    return WORKING, began, ""


def _idle(site: ListedSite) -> SiteState:
    state = "?" if site.connected is None else CONNECTED if site.connected else AWAY
    return SiteState(site.site, site.version, state, site.seen)


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
