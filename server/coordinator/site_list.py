"""`bloodnet-server sites`: who is admitted, and who is there."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from server.coordinator.admissions import AdmittedSite, admitted
from server.coordinator.home import Home
from server.launch import NoAnswer, Node, superlink
from server.wording import counted


@dataclass(frozen=True)
class ListedSite:
    """A line of the list; times are ISO 8601.

    connected: None where the SuperLink does not run, so that nobody knows
    seen:      since when it is connected, or when it was last; empty where it never was, or nobody knows
    """

    site: str
    version: str
    fingerprint: str
    admitted: str
    revoked: str
    connected: bool | None
    seen: str
    labels: tuple[str, ...]
    counts: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def listed(home: Home) -> list[ListedSite]:
    """All sites that ever were admitted, by name."""
    nodes = connected_nodes(home)
    by_key = {node.public_key: node for node in nodes or []}
    lines = []
    for name, site in admitted(home).items():
        told, node = site.admission, by_key.get(site.admission.public_key)
        connected = None if nodes is None else bool(node and node.online)
        seen = node.since if node else ""
        who = (name, told.version, told.fingerprint, site.admitted, site.revoked)
        lines.append(ListedSite(*who, connected, seen, told.labels, told.counts))
    return lines


def connected_nodes(home: Home) -> list[Node] | None:
    """What the SuperLink knows of its SuperNodes; None where it does not run."""
    with superlink(home.connection) as link:
        try:
            return link.nodes()
        except NoAnswer:
            return None


def admitted_sentence(site: AdmittedSite) -> str:
    """What `admit` has done."""
    told = site.admission
    if site.updated:
        return f"{told.site} was admitted on {_day(site.admitted)}; what it says of its data now is taken over"
    as_here = f"it has version {told.version}, as this coordinator has"
    return f"{told.site} is admitted; {as_here}\n  key {told.fingerprint}"


def site_view(sites: list[ListedSite]) -> Group:
    """The list as a person reads it: a table, and below it the keys, which are too long for one."""
    if not sites:
        return Group("No site was ever admitted; `bloodnet-server admit` takes the files that hospitals send.")
    table = Table(
        "site", "version", "admitted", "state", "seen", "studies", "labels", title=counted(len(sites), "site")
    )
    for site in sites:
        row = (site.site, site.version, _day(site.admitted), _state(site), _minute(site.seen), _studies(site))
        table.add_row(*row, ", ".join(site.labels), style="dim" if site.revoked else None)
    width = max(len(site.site) for site in sites)
    keys = "\n".join(f"{site.site:{width}}  {site.fingerprint}" for site in sites if not site.revoked)
    return Group(table, *([Text(f"keys\n{keys}")] if keys else []))


def _studies(site: ListedSite) -> str:
    """Of all splits, as far as the site has said: what is below its minimum cohort it has not."""
    known = [number for kind, number in site.counts.items() if kind.endswith("-studies")]
    return f"{sum(known):,}" if known else "not said"


def _state(site: ListedSite) -> str:
    if site.revoked:
        return f"revoked {_day(site.revoked)}"
    return {None: "?", True: "connected", False: "away"}[site.connected]


def _day(iso: str) -> str:
    return _local(iso)[:10]


def _minute(iso: str) -> str:
    return _local(iso)[:16]


def _local(iso: str) -> str:
    """In this machine's time zone: Flower's times are in UTC."""
    return str(datetime.fromisoformat(iso).astimezone()) if iso else ""
