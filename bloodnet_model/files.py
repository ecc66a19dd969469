"""Files that are written whole or not at all."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import TextIO

from bloodnet_model.errors import DataError


def make_folder(path: Path) -> None:
    """Make `path` if need be; raises DataError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be made ({error.strerror}); choose another folder.") from None


@contextmanager
def alone(lock: Path, busy: str = "") -> Iterator[None]:
    """One process at a time, by a lock file: another one waits, or raises DataError with the sentence `busy` if given.

    Raises as `make_folder`.
    """
    make_folder(lock.parent)
    try:
        file = lock.open("w")
    except OSError as error:
        raise _unwritable(lock, error) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise DataError(busy) from None
        yield


def write_whole(path: Path, content: bytes | str) -> None:
    """Write `content`; text as UTF-8. Raises DataError, naming the path, where the folder cannot be written."""
    with _in_place_of(path) as temporary, temporary.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that its owner alone may read, from its first byte on, and never over another.

    Raises DataError where that cannot be.
    """
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> DataError:
    remedy = "make room for it" if error.errno in (ENOSPC, EDQUOT) else "make the folder writable"
    return DataError(f"{path}: cannot be written ({error.strerror}); {remedy}.")


@contextmanager
def writing_whole(path: Path) -> Iterator[TextIO]:
    """A UTF-8 file to write line by line, which takes its name at the end; raises as `write_whole`."""
    with _in_place_of(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _in_place_of(path: Path) -> Iterator[Path]:
    """A temporary name that is renamed to `path` if all went well: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
        _keep_name(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def _keep_name(folder: Path) -> None:
    """A renamed file has its new name after a power cut only if its folder was written, too."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
