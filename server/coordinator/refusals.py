"""Who was turned away at the door: nginx's log of the requests that did not succeed, kept small, and read."""

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from server.coordinator.home import Home
from server.coordinator.proxy import REFUSED
from server.wording import clock, counted

LARGEST_BYTES: Final = 1 << 20
"""A log that is larger is put aside; one that was put aside before goes, so that two are all there ever are."""
WITHIN: Final = timedelta(days=1)
_ASIDE: Final = f"{REFUSED}.1"
_MEANING: Final[Mapping[str, str]] = {
    "400": "not HTTP over TLS",
    "401": "a key that is not admitted",
    "403": "not a POST, of a run that is over, or in another's name",
    "404": "another route",
    "499": "broken off by the site",
    "502": "the SuperLink did not answer",
    "503": "too many requests a second",
    "504": "the SuperLink did not answer in time",
}


@dataclass(frozen=True)
class Refusals:
    """Of the last day, as far as the logs go back: requests by HTTP status, and the last of them (ISO 8601)."""

    by_status: Mapping[str, int]
    addresses: int
    last_at: str
    last_from: str


def refusals(home: Home, now: datetime) -> Refusals:
    """What the logs say at `now`."""
    lines = [line for line in _lines(home) if datetime.fromisoformat(line[0]) > now - WITHIN]
    last = lines[-1] if lines else ("", "", "")
    counts = Counter(status for _, _, status in lines)
    return Refusals(dict(counts.most_common()), len({address for _, address, _ in lines}), last[0], last[1])


def refusals_sentence(found: Refusals, now: datetime) -> str:
    """One line; empty where nobody was turned away."""
    if not found.by_status:
        return ""
    what = ", ".join(f"{number:,} {_MEANING.get(code, f'HTTP {code}')}" for code, number in found.by_status.items())
    whence = f"{counted(found.addresses, 'address', 'addresses')}; the last {found.last_from}"
    at = clock(datetime.fromisoformat(found.last_at).astimezone(now.tzinfo), now)
    total = counted(sum(found.by_status.values()), "request")
    return f"Turned away at the door within a day: {total} ({what}) from {whence} at {at}."


def keep_small(home: Home, nginx: "subprocess.Popen[bytes]") -> None:
    """Put a large log aside, and have nginx begin another; its workers may not open one themselves."""
    log = home.nginx / REFUSED
    if log.exists() and log.stat().st_size > LARGEST_BYTES:
        log.replace(home.nginx / _ASIDE)
        nginx.send_signal(signal.SIGHUP)


def _lines(home: Home) -> Iterator[tuple[str, str, str]]:
    """Time, address and status of each request, the oldest first; what is no such line is passed over."""
    for name in (_ASIDE, REFUSED):
        path = home.nginx / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for line in text.splitlines():
            time, _, rest = line.partition(" ")
            address, _, rest = rest.partition(" ")
            if _is_time(time):
                yield time, address, rest[:3]


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
