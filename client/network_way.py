"""The node's way to its coordinator, step by step with real sockets; each step with its time limit, or why it fails."""

import errno
import ssl
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from queue import Empty, SimpleQueue
from socket import IPPROTO_TCP, gaierror, getaddrinfo
from threading import Thread
from typing import Final

import httpcore
from cryptography.x509 import Certificate

from client.findings import Finding
from client.network_route import Route, ask_for_tunnel, variable
from client.network_tls import any_context, certificate_of, node_context, on_certificate, on_handshake

LIMIT_S: Final = 4.0
"""Of a single step."""
_ADDRESSES: Final = 3
"""Of a name, that are tried."""


class Blocked(Exception):
    """A step that cannot be taken."""

    def __init__(self, code: str, text: str) -> None:
        self.finding = Finding("problem", code, f"T{text[1:]}" if text.startswith("the ") else text)


def addresses_of(route: Route) -> tuple[str, ...]:
    """Of whom the node connects to, as this machine resolves the name."""
    host = route.next_host
    try:
        return (str(ip_address(host)),)
    except ValueError:
        pass
    answers: SimpleQueue[tuple[str, ...] | OSError] = SimpleQueue()
    Thread(target=lambda: answers.put(_resolved(host, route.next_port)), daemon=True).start()  # it knows no time limit
    try:
        answer = answers.get(timeout=LIMIT_S)
    except Empty:
        answer = TimeoutError()
    if isinstance(answer, tuple):
        return answer
    through = "" if route.proxy else ", or name the hospital's proxy in HTTPS_PROXY if it resolves for you"
    if isinstance(answer, TimeoutError):
        raise Blocked(
            "dns-silent", f"No DNS server answers for {host} within {LIMIT_S:.0f} s; set this machine's{through}."
        )
    raise Blocked(
        "unknown-name",
        f"This machine's DNS does not know {host}; look for a misspelling, ask the network team to let it be resolved"
        f"{through}.",
    )


def _resolved(host: str, port: int) -> tuple[str, ...] | OSError:
    try:
        return tuple(dict.fromkeys(str(found[4][0]) for found in getaddrinfo(host, port, proto=IPPROTO_TCP)))
    except (gaierror, UnicodeError) as error:
        return OSError(str(error))


def connect(route: Route, addresses: tuple[str, ...]) -> tuple[str, Finding | None]:
    """The first address that answers, with a warning where an earlier one does not: the node would wait for it."""
    faults = []
    tried = addresses[:_ADDRESSES]
    for address in tried:
        try:
            httpcore.SyncBackend().connect_tcp(address, route.next_port, LIMIT_S).close()
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            faults.append(error)
        else:
            return address, _on_slow(route, tried[: len(faults)], address)
    raise _closed(route, tried, faults[-1])


def _on_slow(route: Route, silent: tuple[str, ...], answers: str) -> Finding | None:
    if not silent:
        return None
    return Finding(
        "warning",
        "some-addresses-silent",
        f"{' and '.join(silent)} of {route.next_host} cannot be reached, {answers} can; the node tries them in this "
        "order and loses up to 30 s each time: have all opened, or the name resolved to this one.",
    )


def _closed(route: Route, tried: tuple[str, ...], error: Exception) -> Blocked:
    at, number = f"{route.next_name} ({', '.join(tried)})", getattr(error.__cause__, "errno", None)
    if isinstance(error, httpcore.ConnectTimeout):
        return Blocked(
            "port-silent",
            f"No answer from {at} within {LIMIT_S:.0f} s: a firewall drops what is sent there; send the firewall "
            "request to the network team.",
        )
    if number == errno.ECONNREFUSED:
        return Blocked(
            "port-refused",
            f"{at} refuses the connection: a firewall rejects it, or nothing listens there; send the firewall request "
            "to the network team, and ask the coordinator if it is up.",
        )
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return Blocked(
            "no-route", f"This machine has no route to {at}; ask the network team for a way, or for a proxy."
        )
    return Blocked(
        "port-closed", f"{at} cannot be connected to ({error}); send the firewall request to the network team."
    )


def open_tunnel(route: Route, address: str) -> httpcore.NetworkStream:
    """A connection to the coordinator's port, through the proxy if there is one."""
    stream = _connected(route, address)
    if route.proxy is None:
        return stream
    try:
        code, reason = ask_for_tunnel(stream, route, LIMIT_S)
    except (httpcore.NetworkError, httpcore.TimeoutException):
        stream.close()
        raise Blocked(
            "proxy-silent",
            f"{route.next_name} takes the connection and does not answer CONNECT; ask the network team about it, and "
            f"whether {variable()} is right.",
        ) from None
    if 200 <= code < 300:
        return stream
    stream.close()
    raise _no_tunnel(route, code, f"HTTP {code} {reason}".strip())


def _connected(route: Route, address: str) -> httpcore.NetworkStream:
    try:
        stream = httpcore.SyncBackend().connect_tcp(address, route.next_port, LIMIT_S)
        if route.proxy is None or route.proxy.url.scheme == "http":
            return stream
        return stream.start_tls(httpcore.default_ssl_context(), route.next_host, LIMIT_S)
    except (httpcore.NetworkError, httpcore.TimeoutException) as error:
        raise _closed(route, (address,), error) from None


def _no_tunnel(route: Route, code: int, answer: str) -> Blocked:
    if code == 0:
        return Blocked("no-proxy", f"What answers at {route.next_name} is no HTTP proxy; correct {variable()}.")
    if code == 407:
        return Blocked(
            "proxy-login",
            f"{route.next_name} asks for a login ({answer}); write {variable()} as http://USER:PASSWORD@HOST:PORT, or "
            f"ask the network team to let this machine through to {route.authority} without.",
        )
    if code >= 500:
        return Blocked(
            "proxy-cut-off",
            f"{route.next_name} itself does not reach {route.authority} ({answer}); send the firewall request to the "
            "network team, and ask the coordinator if it is up.",
        )
    return Blocked(
        "proxy-forbids",
        f"{route.next_name} refuses CONNECT to {route.authority} ({answer}); ask the network team to allow it.",
    )


def shake_hands(route: Route, address: str, authority: Path) -> tuple[str, Certificate]:
    """The version of TLS, and the certificate, which is the coordinator's."""
    stream = open_tunnel(route, address)
    try:
        safe = stream.start_tls(node_context(authority), route.host, LIMIT_S)
    except (httpcore.NetworkError, httpcore.TimeoutException) as error:
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            code = error.__cause__.verify_code
            raise _refused(
                on_certificate(code, _looked_at(route, address), authority, route.host, datetime.now(UTC))
            ) from None
        raise _refused(on_handshake(error, route.host)) from None
    try:
        return str(safe.get_extra_info("ssl_object").version()), certificate_of(safe)
    finally:
        safe.close()


def _looked_at(route: Route, address: str) -> Certificate:
    """Whatever certificate is shown; nothing is sent to whoever shows it."""
    try:
        stream = open_tunnel(route, address).start_tls(any_context(), route.host, LIMIT_S)
    except (httpcore.NetworkError, httpcore.TimeoutException) as error:
        raise _refused(on_handshake(error, route.host)) from None
    try:
        return certificate_of(stream)
    finally:
        stream.close()


def _refused(finding: Finding) -> Blocked:
    return Blocked(finding.code, finding.text)
