"""How an app bundle differs from the code that is installed here: what a person reads before approving it."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from client.terminal import printable
from strategies.bundle import bundle_digest

_MANIFEST: Final = ".info/CONTENT"
"""Flower's list of a bundle's files; it changes whenever one of them does and says nothing more."""


@dataclass(frozen=True)
class Review:
    """Names of files that are not the same; `text` is the whole for a person, its last line the digest."""

    digest: str
    changed: tuple[str, ...]
    new: tuple[str, ...]
    missing: tuple[str, ...]
    text: str

    @property
    def same(self) -> bool:
        return not (self.changed or self.new or self.missing)


def review(theirs: Mapping[str, bytes], ours: Mapping[str, bytes]) -> Review:
    """Files of a bundle against those of the bundle of this installation, both by name."""
    new = tuple(sorted(theirs.keys() - ours.keys()))
    missing = tuple(sorted(ours.keys() - theirs.keys()))
    changed = tuple(name for name in sorted(theirs.keys() & ours.keys()) if theirs[name] != ours[name])
    shown = sorted({*changed, *new, *missing} - {_MANIFEST})
    parts = [_summary(len(theirs), changed, new, missing)]
    parts += [_difference(name, ours.get(name), theirs.get(name)) for name in shown]
    digest = bundle_digest(theirs)
    return Review(digest, changed, new, missing, "\n".join([*parts, f"digest {digest}"]))


def _summary(files: int, *kinds: tuple[str, ...]) -> str:
    if not any(kinds):
        return f"All {files} files are those that are installed here: it runs without approval.\n"
    lines = [f"{files} files; against what is installed here:"]
    for kind, names in zip(("changed", "new", "missing"), kinds, strict=True):
        lines += [f"  {kind:<8} {printable(name)}" for name in names]
    return "\n".join([*lines, ""])


def _difference(name: str, ours: bytes | None, theirs: bytes | None) -> str:
    """A unified diff of one file, or its size and digest where it is no text."""
    try:
        before, after = ((content or b"").decode().splitlines() for content in (ours, theirs))
    except UnicodeDecodeError:
        return f"{printable(name)} is no text that can be shown; nobody should approve it unread.\n"
    sides = ("/dev/null" if ours is None else "installed", "/dev/null" if theirs is None else "bundle")
    titles = [side if side == "/dev/null" else f"{side}/{name}" for side in sides]
    lines = list(difflib.unified_diff(before, after, fromfile=titles[0], tofile=titles[1], lineterm=""))
    lines = lines or [f"--- {titles[0]}", f"+++ {titles[1]}", "  (empty, or different in the ends of its lines alone)"]
    return "\n".join([*map(printable, lines), ""])
