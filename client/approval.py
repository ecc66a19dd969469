"""What may run at a site: the app bundles that IT approved, besides that of its own installation, and the runs allowed.

Bundles and digests are those of `strategies.bundle`. Nothing here unpacks a bundle to a disk or runs a line of it.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole

_APPROVED, _ALLOWED, _REFUSED = "approved.json", "allowed-runs.json", "refused"
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
