"""What may run at a site: the app bundles that IT approved, besides that of its own installation, and the runs allowed.

A bundle is known by the digest of what is in it, the names and contents of its files: it does not depend on which
library compressed it. Nothing here unpacks a bundle to a disk or runs a line of it.
"""

import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole

_APPROVED, _ALLOWED, _REFUSED = "approved.json", "allowed-runs.json", "refused"
_MOST_BYTES: Final = 64 << 20
"""Unpacked, a bundle takes no more; Flower's own limit is 10 MB packed."""
_DAMAGED: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError),  # of bzip2, the last
    *(NotImplementedError, RuntimeError, EOFError, ValueError),
)
_MOST_REFUSED: Final = 5
"""So many refused bundles are kept, for `review`."""


class Grants:
    """Names that somebody at the site has said yes to, each with the time; a file, read anew whenever it is asked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> frozenset[str]:
        """Raises DataError where the file cannot be read: then nothing is granted."""
        return frozenset(self._read())

    def grant(self, name: str) -> None:
        make_folder(self.path.parent)
        self._write({**self._read(), name: datetime.now(UTC).isoformat(timespec="seconds")})

    def take_back(self, name: str) -> None:
        """Raises DataError where it was never granted."""
        granted = self._read()
        if name not in granted:
            raise DataError(f"{self.path}: {name} is not in it; it holds {', '.join(granted) or 'nothing'}.")
        del granted[name]
        self._write(granted)

    def _read(self) -> dict[str, str]:
        try:
            raw = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            raw = None
        if not isinstance(raw, dict):
            raise DataError(f"{self.path}: cannot be read; remove it, and say yes anew.")
        return raw

    def _write(self, granted: Mapping[str, str]) -> None:
        write_whole(self.path, json.dumps(granted, indent=1) + "\n")


def approved_bundles(kept: Path) -> Grants:
    """Digests of the bundles that IT approved; `kept` is the site's folder of what is kept for good."""
    return Grants(kept / _APPROVED)


def allowed_runs(kept: Path) -> Grants:
    """Names of the runs that the site takes part in where its policy is to be asked."""
    return Grants(kept / _ALLOWED)


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


def keep_refused(kept: Path, digest: str, bundle: bytes) -> Path:
    """Keep a refused bundle as it came, packed, so that it can be reviewed; the oldest of too many goes."""
    folder = kept / _REFUSED
    make_folder(folder)
    path = folder / f"{digest}.fab"
    write_whole(path, bundle)
    for old in sorted(folder.glob("*.fab"), key=lambda file: file.stat().st_mtime)[:-_MOST_REFUSED]:
        old.unlink(missing_ok=True)
    return path


def find_bundle(named: str, kept: Path) -> bytes:
    """A bundle by its file, or by the digest of one that was refused here; raises DataError where there is none."""
    refused = kept / _REFUSED / f"{named}.fab"
    path = refused if is_digest(named) and refused.exists() else Path(named)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{named}: is neither a file that can be read ({error.strerror}) nor the digest of a bundle that was "
            f"refused here; ask the coordinator for its .fab file."
        ) from None


def is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
