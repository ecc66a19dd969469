"""`bloodnet-server sites`: who is admitted, and who is there."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.table import Table

from server.coordinator.admissions import admitted
from server.coordinator.home import Home
from server.launch import NoAnswer, Node, superlink


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


def site_table(sites: list[ListedSite]) -> Table:
    """The list as a person reads it."""
    table = Table("site", "version", "admitted", "state", "seen", "labels", "key", title=f"{len(sites)} sites")
    for site in sites:
        row = (site.site, site.version, _day(site.admitted), _state(site), _minute(site.seen), ", ".join(site.labels))
        table.add_row(*row, site.fingerprint, style="dim" if site.revoked else None)
    return table


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
