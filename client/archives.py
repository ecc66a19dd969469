"""Files inside zip archives, under paths that lead through the archive: `/pacs/export.zip/study/17.dcm`.

Nothing is unpacked. An archive's list of members is parsed once and remembered; no file stays open, so that worker
processes share nothing.
"""

import errno
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipExtFile, ZipFile, ZipInfo

from bloodnet_model.errors import UnusableSlice

LARGEST_MEMBER_BYTES: Final = 1 << 30
"""No slice and no enhanced series of a head is larger; a member that claims to be is a mistake or an attack."""

_MAGIC: Final = (b"PK\3\4", b"PK\5\6")  # of an archive, and of one without members
_LOCAL_HEADER_BYTES: Final = 30
_ENCRYPTED: Final = 1
_BROKEN: Final = (BadZipFile, zlib.error, EOFError, OverflowError)
"""What reading a damaged member raises."""


def is_archive(path: Path) -> bool:
    """Whether the file is named .zip and begins as one."""
    if path.suffix.lower() != ".zip":
        return False
    try:
        with _regular_file(path) as file:
            return file.read(4) in _MAGIC
    except (OSError, UnusableSlice):
        return False


def members(archive: Path) -> Iterator[Path]:
    """A path for every file in the zip, also for those that cannot be read: `open_file` says why.

    Raises UnusableSlice "bad-archive" where the list of members cannot be read.
    """
    return (archive / key for key in _directory_of(archive))


def open_file(path: Path, *, checked: bool = False) -> BinaryIO:
    """An ordinary file, or a member of a zip, to be read and closed by the caller.

    `checked` reads a member to its end first, so that its checksum is known to hold. Never waits for a pipe. Raises
    OSError as `open` does, and UnusableSlice: "not-dicom" for pipes and devices, "bad-archive" for a member that is
    not there, encrypted, larger than it may be, broken, or named so that it would lie outside the archive.
    """
    try:
        return _regular_file(path)
    except NotADirectoryError:
        archive = next((parent for parent in path.parents if parent.is_file()), None)
        if archive is None:
            raise
    key = str(path)[len(str(archive)) + 1 :]
    try:
        member = _open_member(archive, key)
        if not checked:
            return member
        with member:
            return BytesIO(member.read(LARGEST_MEMBER_BYTES))
    except (OSError, ValueError, *_BROKEN) as error:
        raise _bad(archive, f"{key} is broken ({type(error).__name__})") from None


@contextmanager
def reading(path: Path, *, checked: bool = False) -> Iterator[BinaryIO]:
    """`open_file` for a `with` block, whose failures to read become UnusableSlice as well."""
    try:
        with open_file(path, checked=checked) as file:
            yield file
    except FileNotFoundError:
        raise UnusableSlice("missing-file", f"{path.name}: there is no such file.") from None
    except OSError as error:
        raise UnusableSlice("unreadable", f"{path.name}: {error.strerror or error}.") from None
    except _BROKEN as error:
        raise UnusableSlice("bad-archive", f"{path.name}: broken in its archive ({type(error).__name__}).") from None


def _regular_file(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise UnusableSlice("not-dicom", f"{path.name}: a pipe or device, not a file.")


def _open_member(archive: Path, key: str) -> BinaryIO:
    info = _directory_of(archive).get(key)
    if info is None:
        raise _bad(archive, f"{key} is not in it")
    if ".." in PurePosixPath(info.filename).parts or info.filename.startswith("/"):
        raise _bad(archive, f"{key} is named as if it lay outside")
    if info.flag_bits & _ENCRYPTED:
        raise _bad(archive, f"{key} is encrypted")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise _bad(archive, f"{key} is compressed by another method than deflate")
    if info.file_size > LARGEST_MEMBER_BYTES:
        raise _bad(archive, f"{key} is {info.file_size >> 20} MiB large")
    file = archive.open("rb")
    try:
        file.seek(info.header_offset)
        local = file.read(_LOCAL_HEADER_BYTES)
        if len(local) < _LOCAL_HEADER_BYTES or not local.startswith(_MAGIC[0]):
            raise _bad(archive, f"{key} is not where the list of members says")
        file.seek(int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"), os.SEEK_CUR)
        return cast(BinaryIO, ZipExtFile(file, "r", info, close_fileobj=True))
    except BaseException:
        file.close()
        raise


def _directory_of(archive: Path) -> dict[str, ZipInfo]:
    try:
        status = archive.stat()
        return _directory(archive, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UnusableSlice("unreadable", f"{archive.name}: {error.strerror}.") from None
    except Exception as error:  # a broken zip fails in struct, in decoding names, in seeking, ...
        raise _bad(archive, f"its list of members cannot be read ({type(error).__name__})") from None


@lru_cache(maxsize=8)
def _directory(archive: Path, size: int, mtime_ns: int) -> dict[str, ZipInfo]:
    """Members by the path that follows the archive's; size and time of change are the cache's."""
    with ZipFile(archive) as file:
        found: dict[str, ZipInfo] = {}
        for info in file.infolist():
            key = str(PurePosixPath(info.filename.lstrip("/")))
            if not info.filename.endswith("/") and key != ".":
                found.setdefault(key, info)
        return found


def _bad(archive: Path, what: str) -> UnusableSlice:
    return UnusableSlice("bad-archive", f"{archive.name}: {what}; unpack it and keep the folder.")
