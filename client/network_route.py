"""The way that a node takes to its coordinator: directly, or through the proxy that its environment names.

Flower's node speaks HTTP/1.1 over TLS by httpx, so httpx's reading of HTTPS_PROXY, ALL_PROXY and NO_PROXY counts. What
gRPC reads (`grpc_proxy`, `no_grpc_proxy`) has no effect: gRPC answers health checks on this machine and nothing else.
"""

from base64 import b64encode
from dataclasses import dataclass
from os import environ
from typing import Final

import httpcore
import httpx
from httpx._utils import URLPattern, get_environment_proxies  # what httpx.Client chooses a proxy by

from bloodnet_model.errors import SettingsError

_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""In the order in which they count; a small letter's goes before its capital's even where it is empty."""
_LONGEST_REPLY: Final = 1 << 16


@dataclass(frozen=True)
class Route:
    """host, port: of the coordinator; proxy: to which the node connects in its place."""

    host: str
    port: int
    proxy: httpx.Proxy | None = None

    @property
    def authority(self) -> str:
        """HOST:PORT, as URLs and proxies write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def next_host(self) -> str:
        """Whom the node's packets are addressed to."""
        return self.proxy.url.host if self.proxy else self.host

    @property
    def next_port(self) -> int:
        if self.proxy is None:
            return self.port
        return self.proxy.url.port or (443 if self.proxy.url.scheme == "https" else 80)

    @property
    def next_name(self) -> str:
        """As a person reads it; without the proxy's password."""
        return f"the proxy {self.next_host}:{self.next_port}" if self.proxy else self.authority


def route_to(coordinator: str) -> Route:
    """The way to HOST:PORT in this process's environment; raises SettingsError for a proxy that the node cannot use."""
    host, _, port = coordinator.rpartition(":")
    route = Route(host.strip("[]"), int(port))
    url = httpx.URL(f"https://{route.authority}")
    try:
        patterns = sorted((URLPattern(pattern), proxy) for pattern, proxy in get_environment_proxies().items())
        chosen = next((proxy for pattern, proxy in patterns if pattern.matches(url)), None)
        httpx.Client().close()  # every proxy of the environment is made ready, also those that are not used
        return Route(route.host, route.port, httpx.Proxy(chosen) if chosen else None)
    except (ValueError, ImportError, httpx.InvalidURL):
        raise SettingsError(
            "A proxy that the environment names cannot be used (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY), and the node "
            "would not start; write it as http://HOST:PORT: SOCKS is not supported."
        ) from None


def variable() -> str:
    """The environment's variable that names the proxy for HTTPS."""
    return next((name for name in _VARIABLES if environ.get(name)), "")


def ask_for_tunnel(stream: httpcore.NetworkStream, route: Route, seconds: float) -> tuple[int, str]:
    """CONNECT to the coordinator, as httpx asks for it: the status and the reason; 0 where the answer is no HTTP."""
    words = [f"CONNECT {route.authority} HTTP/1.1", f"Host: {route.authority}", "Accept: */*"]
    if route.proxy and route.proxy.raw_auth:
        words.append(f"Proxy-Authorization: Basic {b64encode(b':'.join(route.proxy.raw_auth)).decode()}")
    stream.write("\r\n".join([*words, "", ""]).encode(), seconds)
    reply = b""
    while b"\r\n\r\n" not in reply and len(reply) < _LONGEST_REPLY:
        block = stream.read(4096, seconds)
        if not block:
            break
        reply += block
    version, _, rest = reply.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    code, _, reason = rest.partition(" ")
    return (int(code), reason) if version.startswith("HTTP/1.") and code.isdigit() else (0, "")
