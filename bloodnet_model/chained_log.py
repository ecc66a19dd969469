"""A log of JSON lines, each with a digest of itself and of all lines before: what was written stays as it was.

A line is on the disk before `append` returns. A last line without an end never counted: its writer was stopped.
"""

import json
import os
from collections.abc import Container, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bloodnet_model.errors import DataError
from bloodnet_model.files import write_whole

_DIGEST: Final = "digest"
_BLOCK_BYTES: Final = 1 << 16

Event = dict[str, Any]


class DamagedLog(DataError):
    """A line was changed, or does not follow the line before it; `before` are the events that are as written."""

    def __init__(self, path: Path, line: int, before: list[Event]) -> None:
        super().__init__(f"{path}, line {line}: was changed or does not follow the line before it.")
        self.line, self.before = line, before


class ChainedLog:
    """The log in the file `path`.

    events:  the lines that were read, and those written since, without their digests
    digests: of those that were read
    start:   the digest of the line before them; empty where they are all
    digest:  of the last line, and so of all before; empty where there is none
    """

    def __init__(self, path: Path, events: list[Event], digests: list[str], start: str = "") -> None:
        self.path, self.events, self.digests, self.start = path, events, digests, start
        self.digest = digests[-1] if digests else start

    @classmethod
    def begin(cls, path: Path) -> "ChainedLog":
        """A log without a line yet."""
        return cls(path, [], [])

    @classmethod
    def read(cls, path: Path) -> "ChainedLog":
        """The log in a file, which stays as it is; a line that was only half written is passed over.

        Raises DamagedLog, naming the line, and DataError where there is no such file.
        """
        return cls._read(path)[0]

    @classmethod
    def reopen(cls, path: Path) -> "ChainedLog":
        """The log in a file, to go on with; a line that was only half written is taken off its end.

        Raises as `read`.
        """
        log, content, whole = cls._read(path)
        if whole != content:
            write_whole(path, whole)
        return log

    @classmethod
    def at_end(cls, path: Path) -> "ChainedLog":
        """The log in a file, to go on with, as `reopen`; but of its lines the last alone is read and verified.

        It takes as long for a long log as for a short one. Raises DamagedLog where the last line is not as written.
        """
        try:
            half, *lines = islice(_from_the_end(path), 3)
            if half:
                with path.open("rb+") as file:
                    file.truncate(path.stat().st_size - len(half))
        except OSError as error:
            raise DataError(f"{path}: cannot be gone on with ({error.strerror}); make it writable.") from None
        if not lines:
            return cls.begin(path)
        before = _noted_digest(lines[1]) if len(lines) > 1 else ""
        told, ending = _parts(lines[0])
        digest = _digest(before, told)
        if ending != _ending(digest):
            raise DamagedLog(path, path.read_bytes().count(b"\n"), [])
        return cls(path, [json.loads(told)], [digest], before)

    @classmethod
    def _read(cls, path: Path) -> tuple["ChainedLog", bytes, bytes]:
        """The log, what the file holds, and its whole lines."""
        try:
            content = path.read_bytes()
        except OSError:
            raise DataError(f"{path}: there is no such file.") from None
        whole = content[: content.rfind(b"\n") + 1]
        return cls(path, *_verified(path, whole)), content, whole

    def again(self, places: Container[int]) -> Iterator[Event]:
        """Events by their places among all of the log's, read from its file; raises DataError where it is gone."""
        try:
            with self.path.open("rb") as file:
                for place, line in enumerate(file):
                    if place in places:
                        yield json.loads(_parts(line[:-1])[0])
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror}); make it readable.") from None

    def append(self, event: Mapping[str, Any]) -> None:
        """Write `event` as the next line; raises DataError where it cannot be written, and then nothing has changed."""
        told = json.dumps(event).encode()
        digest = _digest(self.digest, told)
        try:
            with self.path.open("ab") as file:
                file.write(told[:-1] + _ending(digest) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written ({error.strerror}); make room for it.") from None
        self.events.append(dict(event))
        self.digest = digest


def cut_before(path: Path, line: int) -> None:
    """Keep what a log has before `line`; the whole of it stays beside it, as `.damaged`."""
    content = path.read_bytes()
    write_whole(path.with_name(path.name + ".damaged"), content)
    write_whole(path, b"".join(whole + b"\n" for whole in content.split(b"\n")[: line - 1]))


def _verified(path: Path, content: bytes) -> tuple[list[Event], list[str]]:
    """Events and digests of all lines."""
    events: list[Event] = []
    digests: list[str] = []
    digest = ""
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        told, ending = _parts(line)
        digest = _digest(digest, told)
        if ending != _ending(digest):
            raise DamagedLog(path, number, events)
        events.append(json.loads(told))
        digests.append(digest)
    return events, digests


def latest(path: Path) -> Iterator[Event]:
    """Events of a log, the last one first, as far back as is asked for; not verified. Raises DataError."""
    try:
        for line in islice(_from_the_end(path), 1, None):
            yield json.loads(_parts(line)[0])
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); make it readable.") from None
    except ValueError:
        raise DataError(f"{path}: holds a line that is none of a log's.") from None


def _from_the_end(path: Path) -> Iterator[bytes]:
    """What stands after the last line's end, then the lines, the last one first; reads no more than is asked for."""
    with path.open("rb") as file:
        place, rest = file.seek(0, os.SEEK_END), b""
        while place:
            start = max(0, place - _BLOCK_BYTES)
            file.seek(start)
            rest, *lines = (file.read(place - start) + rest).split(b"\n")
            yield from reversed(lines)
            place = start
        yield rest


def _parts(line: bytes) -> tuple[bytes, bytes]:
    """A line's own JSON, and the ending with its digest."""
    return line[:-_ENDING_BYTES] + b"}", line[-_ENDING_BYTES:]


def _noted_digest(line: bytes) -> str:
    """The digest that a line bears, whether it is right or not."""
    return line[-len(sha256().hexdigest()) - 2 : -2].decode(errors="replace")


def _digest(before: str, told: bytes) -> str:
    """Of a line's own JSON and all lines before."""
    return sha256(before.encode() + told).hexdigest()


def _ending(digest: str) -> bytes:
    """How a line's JSON goes on after its last own entry; of the bytes of a line, every one is in its digest."""
    return f', "{_DIGEST}": "{digest}"}}'.encode()


_ENDING_BYTES: Final = len(_ending(sha256().hexdigest()))
