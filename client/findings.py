"""What `check` finds, in the data and on the network, and the verdict that follows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["problem", "warning", "note"]
Verdict = Literal["ready", "ready with warnings", "not ready"]


@dataclass(frozen=True)
class Finding:
    """One sentence with its remedy. `code` may be sent to others, `text` is for this site alone."""

    level: Level
    code: str
    text: str


def verdict_of(levels: Iterable[str]) -> Verdict:
    """Of a site in which findings of these levels were made."""
    found = set(levels)
    if "problem" in found:
        return "not ready"
    return "ready with warnings" if "warning" in found else "ready"
