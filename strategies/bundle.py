"""The Flower app bundle of this very installation: the code that a run brings to every site.

Built from the same files it has the same bytes, so a site can tell whether a run brings the code that it has itself. A
bundle is known by the digest of what is in it, the names and contents of its files: it does not depend on which library
compressed it. Nothing here unpacks a bundle to a disk or runs a line of it.
"""

import io
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from flwr.cli.build import build_fab_from_files

from bloodnet_model.errors import DataError

_CONFIG: Final = "pyproject.toml"
_BESIDE: Final = (_CONFIG, "LICENSE")
_ROOMS: Final = ("bloodnet_model", "strategies", "client", "server")
_MOST_BYTES: Final = 64 << 20
"""Unpacked, a bundle takes no more; Flower's own limit is 10 MB packed."""
_DAMAGED: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError),  # of bzip2, the last
    *(NotImplementedError, RuntimeError, EOFError, ValueError),
)


def app_bundle() -> bytes:
    """The bundle that `flwr build` would make of the project, from the files that this process runs."""
    home = Path(__file__).resolve().parent.parent
    beside = home if (home / _CONFIG).exists() else home / "strategies"  # a wheel has no place beside the rooms
    files = {name: beside / name for name in _BESIDE}
    for room in _ROOMS:
        files |= {path.relative_to(home).as_posix(): path for path in (home / room).rglob("*.py")}
    return build_fab_from_files(files)[0]


def own_digest() -> str:
    """Of this installation's bundle."""
    return bundle_digest(bundle_files(app_bundle()))


def bundle_files(bundle: bytes) -> dict[str, bytes]:
    """The files of an app bundle by name, in memory; raises DataError where it is no bundle, or far too large."""
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            members = archive.infolist()
            if len({member.filename for member in members}) != len(members):
                raise DataError("This is no app bundle: two of its files have the same name.")
            if sum(member.file_size for member in members) > _MOST_BYTES:
                raise DataError(f"This is no app bundle: it unpacks to more than {_MOST_BYTES >> 20} MiB.")
            return {member.filename: archive.read(member) for member in members}
    except _DAMAGED as error:
        raise DataError(f"This is no app bundle: it is not a whole zip file ({error}).") from None


def bundle_digest(files: Mapping[str, bytes]) -> str:
    """Of the files' names and contents, whatever their order."""
    rows = sorted(
        f"{sha256(name.encode()).hexdigest()} {sha256(content).hexdigest()}" for name, content in files.items()
    )
    return sha256("\n".join(rows).encode()).hexdigest()
