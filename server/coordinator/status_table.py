"""`bloodnet-server status` as a person reads it."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from server.coordinator.refusals import refusals_sentence
from server.coordinator.status import AWAY, LATE, NOT_ADMITTED, REFUSED_NOW, SET_ASIDE, RunState, SiteState, Status
from server.wording import clock, duration, why

_POLL_S: Final = 2.0
_NAME_COLUMNS: Final = 20
"""Longer names go on in the next line, so that reasons have room in a terminal of 80 columns."""
_ALERTING: Final = (LATE, REFUSED_NOW, SET_ASIDE, NOT_ADMITTED)


def status_view(status: Status, now: datetime) -> Group:
    """What has to be seen to, a table a run, then the sites that are in none: a screen may end before all of it."""
    parts = [part for run in status.runs for part in _table(_title(run, now), run.sites, now)]
    if status.others:
        parts += _table("in no run", status.others, now)
    if not parts:
        parts.append("No site is admitted, and no run goes on.")
    turned_away = Text(refusals_sentence(status.refusals, now))
    return Group(*_warnings(status), *parts, *([turned_away] if turned_away else []))


def watch_status(look: Callable[[], Status], console: Console) -> None:
    """Show it, as it changes, until Ctrl-C."""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(status_view(look(), datetime.now().astimezone()), refresh=True)
            time.sleep(_POLL_S)


def _title(run: RunState, now: datetime) -> str:
    end = f", ends about {clock(datetime.fromisoformat(run.ends_at), now)}" if run.ends_at else ""
    called = f", to hospitals run {run.name}" if run.name else ""
    return f"run {Path(run.folder).name}: {_how_far(run, now)}{end}{called}"


def _how_far(run: RunState, now: datetime) -> str:
    if run.call_until is None:
        return f"{run.round} of {run.rounds} rounds"
    return f"roll call, waits for those away until {clock(datetime.fromisoformat(run.call_until), now)}"


def _table(title: str, sites: tuple[SiteState, ...], now: datetime) -> list[RenderableType]:
    """Nothing of it is cut off in a terminal of 80 columns; what has to be seen to comes first."""
    longest = max(len(name) for name in ("site", *(site.site for site in sites)))
    names = Column("site", width=min(longest, _NAME_COLUMNS), overflow="fold")
    states = Column("state", no_wrap=True)
    table = Table(names, "version", states, "for", "why")
    for site in sorted(sites, key=lambda site: site.state not in (*_ALERTING, AWAY)):
        style = "yellow" if site.state in _ALERTING else None
        reason = why(site.reason, "the site")  # whose name is in the same row
        table.add_row(site.site, site.version, site.state, _for(site.since, now), reason, style=style)
    return [Text(title, style="italic"), table]


def _for(since: str, now: datetime) -> str:
    if not since:
        return ""
    return duration(max(0.0, (now - datetime.fromisoformat(since)).total_seconds()))


def _warnings(status: Status) -> list[Text]:
    return [Text(warning, style="yellow") for warning in status.warnings]
