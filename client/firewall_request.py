"""The request to a hospital's network team, as plain text to copy: what to open, and what will go through it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Final

from client.network_route import Route
from client.network_tls import fingerprints

IDLE_S: Final = 60
"""A firewall must keep a silent connection so long: Flower waits 30 s for an answer, and nginx closes after 75 s."""
_WIDTH, _NAME = 78, 13
_MIB: Final = 1 << 20


def firewall_request(
    site: str, route: Route, addresses: Sequence[str], authority: Path, preset: str, parameters: int
) -> str:
    """The request's text, in lines of at most 78 characters.

    addresses: of whom the node connects to, as far as they are known here
    parameters: of the network, float32: a round sends them to the site twice, to train and to validate, and back once
    """
    size = 4 * parameters / _MIB
    known = "" if route.proxy or route.host in addresses else ", ".join(addresses)
    now = f" (now {known}); please allow the name, for they may change" if known else ""
    said = {
        "From": f"the machine that runs the BloodNet node of {site}",
        "To": f"{route.host}{now}",
        "Port": f"{route.port}, TCP, outgoing only; nothing needs to come in",
        "Through": f"{route.next_name}, by CONNECT" if route.proxy else "",
        "Encryption": "TLS 1.2 or later, without inspection: please exempt this host. The node trusts the "
        "coordinator's own authority and no other, so an inspected connection fails",
        "Protocol": "HTTP/1.1 within TLS; neither HTTP/2 nor WebSocket is needed",
        "Connections": "all day: a small request every 3 s on a connection that stays open; during a training, a "
        f"new connection about every 20 s. Please close none that has been silent for less than {IDLE_S} s.",
        "Traffic": f"each training round about {2 * size:.1f} MiB to this site and {size:.1f} MiB from it, in "
        f"requests of at most 5.3 MB (network {preset!r}, {parameters:,} parameters; half as much again to the site "
        "and twice as much from it with the strategy SCAFFOLD); at rest less than 30 KiB a minute",
        "Content": "weights of a neural network and counts; no image, name or identifier of a patient",
    }
    lines = [f"Firewall request: BloodNet federation, {site}", "", *_lines(said)]
    if trusted := fingerprints(authority):
        lines += ["", "SHA-256 of the coordinator's authority:"]
        lines += [f"  {half}" for one in trusted for half in (one[:48].rstrip(":"), one[48:])]
    return "\n".join(lines)


def _lines(said: Mapping[str, str]) -> list[str]:
    lines = []
    for name, text in said.items():
        for row, line in enumerate(wrap(text, _WIDTH - _NAME, break_on_hyphens=False) if text else []):
            lines.append(f"{'' if row else name:<{_NAME}}{line}")
    return lines
