"""`bloodnet-client check`, the network: the node's way to its coordinator, until a step of it cannot be taken."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import Final, Literal

from bloodnet_model.errors import BloodNetError, SettingsError
from bloodnet_model.files import make_folder
from client.findings import Finding, Level, Verdict, verdict_of
from client.machine import free_bytes, size_in_words
from client.network_heartbeat import Heartbeat, first_heartbeat, on_admission, on_clock
from client.network_route import Route, route_to, variable
from client.network_tls import node_context, on_expiry
from client.network_way import LIMIT_S, Blocked, addresses_of, connect, open_tunnel, shake_hands
from client.node import supernode_command
from client.site_settings import SITE_FILE, Site
from strategies.admission import SUFFIX

State = Literal["ok", "not tried"] | Level

_STATE_BYTES: Final = 1 << 30
"""For what a node writes besides prepared studies: bundles, logs, and its own state of the model between rounds."""
_ANY_PORT: Final = 1


@dataclass(frozen=True)
class Step:
    """`code` may be sent to others and is empty where all is well, `text` is for this site alone."""

    name: str
    state: State
    code: str
    text: str


@dataclass(frozen=True)
class NetworkCheck:
    """addresses: of the coordinator, or of the proxy before it; none where they were not found"""

    steps: tuple[Step, ...]
    route: Route
    addresses: tuple[str, ...]

    @property
    def states(self) -> Iterator[State]:
        return (step.state for step in self.steps)

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.states)

    def to_json(self) -> list[dict[str, str]]:
        """Steps and codes alone, fit to send."""
        return [{"step": step.name, "state": step.state, "code": step.code} for step in self.steps]


def check_network(site: Site) -> NetworkCheck:
    """Goes the way with real sockets, as this process's environment leads it; ends in 30 s, whatever is dropped.

    Raises SettingsError where site.yaml names no coordinator, or the environment a proxy that the node cannot use.
    """
    coordinator = site.settings.policy.coordinator
    if coordinator is None:
        raise SettingsError(
            f"{site.folder / SITE_FILE}: names no coordinator; write `coordinator: HOST:PORT` below `policy:`."
        )
    walk = _Walk(site, route_to(coordinator))
    return NetworkCheck(tuple(walk.steps()), walk.route, walk.addresses)


class _Walk:
    """What is known so far on the way. A step tells what it found, or nothing where there is nothing to tell."""

    def __init__(self, site: Site, route: Route) -> None:
        self.site, self.route = site, route
        self.addresses: tuple[str, ...] = ()
        self._address = ""
        self._heartbeat = Heartbeat(0, "", None, 0.0)

    def steps(self) -> Iterator[Step]:
        """All of them; those after one that cannot be taken are not tried."""
        steps = iter(
            (
                ("disk", self._disk),
                ("name", self._name),
                ("port", self._port),
                ("proxy", self._proxy),
                ("files", self._files),
                ("TLS", self._tls),
                ("clock", self._clock),
                ("heartbeat", self._admission),
            )
        )
        for name, take in steps:
            try:
                found = take()
            except Blocked as blocked:
                yield _step(name, blocked.finding)
                break
            if found is not None:
                yield _step(name, found)
        for name, _ in steps:
            if name != "proxy" or self.route.proxy:
                yield Step(name, "not tried", "", "")

    def _disk(self) -> Finding | str:
        cache = self.site.cache
        try:
            make_folder(cache)
            with TemporaryFile(dir=cache):
                free = free_bytes(cache)
        except (OSError, BloodNetError):
            return Finding(
                "problem", "cache-not-writable", f"{cache} cannot be written; make it writable for this user."
            )
        if free < _STATE_BYTES:
            return Finding(
                "warning",
                "little-disk",
                f"Only {size_in_words(free)} are free for the node's state and logs at {cache}; make it "
                f"{size_in_words(_STATE_BYTES)} or more.",
            )
        return f"{size_in_words(free)} free for cache, state and logs"

    def _name(self) -> str:
        self.addresses = addresses_of(self.route)
        host = self.route.next_host
        found = (
            "an address, so no DNS is asked" if host in self.addresses else f"{host} is {' and '.join(self.addresses)}"
        )
        through = f"; the proxy of {variable()}, which resolves {self.route.host}" if self.route.proxy else ""
        return f"{found}{through}"

    def _port(self) -> Finding | str:
        self._address, slow = connect(self.route, self.addresses)
        return slow or f"{self.route.next_port} of {self._address} takes connections"

    def _proxy(self) -> str | None:
        if self.route.proxy is None:
            return None
        open_tunnel(self.route, self._address).close()
        return f"lets CONNECT through to {self.route.authority}"

    def _files(self) -> str | None:
        try:
            supernode_command(self.site, _ANY_PORT)
        except BloodNetError as error:
            raise Blocked("node-not-ready", str(error)) from None
        return None

    def _tls(self) -> Finding | str:
        version, certificate = shake_hands(self.route, self._address, self.site.folder / self.site.settings.authority)
        return on_expiry(certificate, datetime.now(UTC)) or (
            f"{version}, nobody in between; certificate good until {certificate.not_valid_after_utc:%d %B %Y}"
        )

    def _clock(self) -> Finding | str | None:
        settings = self.site.settings
        context = node_context(self.site.folder / settings.authority)
        self._heartbeat = first_heartbeat(self.route, context, self.site.folder / settings.key, LIMIT_S)
        ahead_s = self._heartbeat.ahead_s
        if ahead_s is None:
            return None
        finding = on_clock(ahead_s)
        if finding is not None and finding.level == "problem":
            raise Blocked(finding.code, finding.text)
        return finding or "within seconds of the coordinator's"

    def _admission(self) -> Finding | str:
        name = self.site.settings.name
        return on_admission(self._heartbeat, name, f"{name}{SUFFIX}") or (
            f"this site is admitted; first heartbeat after {self._heartbeat.seconds:.1f} s"
        )


def _step(name: str, found: Finding | str) -> Step:
    return Step(name, "ok", "", found) if isinstance(found, str) else Step(name, found.level, found.code, found.text)
