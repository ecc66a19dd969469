"""A log of JSON lines, each with a digest of itself and of all lines before: what was written stays as it was.

A line is on the disk before `append` returns. A last line without an end never counted: its writer was stopped.
"""

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from bloodnet_model.errors import DataError
from bloodnet_model.files import write_whole

_DIGEST: Final = "digest"

Event = dict[str, Any]


class DamagedLog(DataError):
    """A line was changed, or does not follow the line before it; `before` are the events that are as written."""

    def __init__(self, path: Path, line: int, before: list[Event]) -> None:
        super().__init__(f"{path}, line {line}: was changed or does not follow the line before it.")
        self.line, self.before = line, before


class ChainedLog:
    """The log in the file `path`; `events` are its lines without their digests."""

    def __init__(self, path: Path, events: list[Event], digest: str) -> None:
        self.path, self.events, self._digest = path, events, digest

    @classmethod
    def begin(cls, path: Path) -> "ChainedLog":
        """A log without a line yet."""
        return cls(path, [], "")

    @classmethod
    def reopen(cls, path: Path) -> "ChainedLog":
        """The log in a file; a line that was only half written is taken off its end.

        Raises DamagedLog, naming the line, and DataError where there is no such file.
        """
        try:
            content = path.read_bytes()
        except OSError:
            raise DataError(f"{path}: there is no such file.") from None
        whole = content[: content.rfind(b"\n") + 1]
        events, digest = _verified(path, whole)
        if whole != content:
            write_whole(path, whole)
        return cls(path, events, digest)

    def append(self, event: Mapping[str, Any]) -> None:
        """Write `event` as the next line; raises DataError where it cannot be written, and then nothing has changed."""
        told = json.dumps(event).encode()
        digest = _digest(self._digest, told)
        try:
            with self.path.open("ab") as file:
                file.write(told[:-1] + _ending(digest) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written ({error.strerror}); make room for it.") from None
        self.events.append(json.loads(told))
        self._digest = digest


def cut_before(path: Path, line: int) -> None:
    """Keep what a log has before `line`; the whole of it stays beside it, as `.damaged`."""
    content = path.read_bytes()
    write_whole(path.with_name(path.name + ".damaged"), content)
    write_whole(path, b"".join(content.splitlines(keepends=True)[: line - 1]))


def _verified(path: Path, content: bytes) -> tuple[list[Event], str]:
    """Events, and the digest of the last line."""
    events: list[Event] = []
    digest = ""
    for number, line in enumerate(content.splitlines(), start=1):
        told, ending = line[:-_ENDING_BYTES] + b"}", line[-_ENDING_BYTES:]
        digest = _digest(digest, told)
        if ending != _ending(digest):
            raise DamagedLog(path, number, events)
        events.append(json.loads(told))
    return events, digest


def _digest(before: str, told: bytes) -> str:
    """Of a line's own JSON and all lines before."""
    return sha256(before.encode() + told).hexdigest()


def _ending(digest: str) -> bytes:
    """How a line's JSON goes on after its last own entry; of the bytes of a line, every one is in its digest."""
    return f', "{_DIGEST}": "{digest}"}}'.encode()


_ENDING_BYTES: Final = len(_ending(sha256().hexdigest()))
