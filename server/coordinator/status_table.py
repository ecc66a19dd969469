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
from server.coordinator.status import LATE, NOT_ADMITTED, REFUSED_NOW, SET_ASIDE, RunState, SiteState, Status
from server.wording import clock, duration, why

_POLL_S: Final = 2.0
_NAME_COLUMNS: Final = 20
"""Longer names go on in the next line, so that reasons have room in a terminal of 80 columns."""
_ALERTING: Final = (LATE, REFUSED_NOW, SET_ASIDE, NOT_ADMITTED)


def status_view(status: Status, now: datetime) -> Group:
    """A table a run, then the sites that are in none, then what has to be seen to."""
    parts: list[RenderableType] = [_table(_title(run, now), run.sites, now) for run in status.runs]
    if status.others:
        parts.append(_table("in no run", status.others, now))
    if not parts:
        parts.append("No site is admitted, and no run goes on.")
    turned_away = Text(refusals_sentence(status.refusals, now))
    return Group(*parts, *([turned_away] if turned_away else []), *_warnings(status))


def watch_status(look: Callable[[], Status], console: Console) -> None:
    """Show it, as it changes, until Ctrl-C."""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(status_view(look(), datetime.now().astimezone()), refresh=True)
            time.sleep(_POLL_S)


def _title(run: RunState, now: datetime) -> str:
    end = f", ends about {clock(datetime.fromisoformat(run.ends_at), now)}" if run.ends_at else ""
    called = f", to hospitals run {run.name}" if run.name else ""
    return f"run {Path(run.folder).name}: {run.round} of {run.rounds} rounds{end}{called}"


def _table(title: str, sites: tuple[SiteState, ...], now: datetime) -> Table:
    """Nothing of it is cut off in a terminal of 80 columns."""
    longest = max(len(name) for name in ("site", *(site.site for site in sites)))
    names = Column("site", width=min(longest, _NAME_COLUMNS), overflow="fold")
    states = Column("state", no_wrap=True)
    table = Table(names, "version", states, "for", "why", title=title, title_justify="left")
    for site in sites:
        style = "yellow" if site.state in _ALERTING else None
        reason = why(site.reason, "the site")  # whose name is in the same row
        table.add_row(site.site, site.version, site.state, _for(site.since, now), reason, style=style)
    return table


def _for(since: str, now: datetime) -> str:
    if not since:
        return ""
    return duration(max(0.0, (now - datetime.fromisoformat(since)).total_seconds()))


def _warnings(status: Status) -> list[Text]:
    return [Text(warning, style="yellow") for warning in status.warnings]
