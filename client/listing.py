"""Which files a site lists: every file below its DICOM folders, in its zip archives and manifests."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bloodnet_model.errors import DataError, UnusableSlice
from client.archives import is_archive, members
from client.site_settings import SITE_FILE, Site


class FoundFile(NamedTuple):
    """A file as it lies there; one that cannot even be opened carries its reason and detail."""

    path: Path
    size: int
    mtime_ns: int
    reason: str = ""
    detail: str = ""


def found_files(site: Site) -> Iterator[FoundFile]:
    """Every file of the site, in no order and perhaps twice, without its own (settings, labels, cache).

    Raises DataError for a folder or manifest that is not there.
    """
    for path in _listed(site):
        found = _look(path)
        if found.reason or not is_archive(path):
            yield found
            continue
        try:
            for member in members(path):
                yield found._replace(path=member)
        except UnusableSlice as fault:
            yield found._replace(reason=fault.reason, detail=str(fault))


def state_of(path: Path) -> tuple[int, int]:
    """(size in bytes, time of change in ns) of a file, or of the archive that it lies in; (-1, -1) where it is gone."""
    try:
        status = os.stat(path)  # noqa: PTH116  # half the time of Path.stat, a million times
    except NotADirectoryError:
        return state_of(path.parent)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _look(path: Path) -> FoundFile:
    try:
        status = os.stat(path)  # noqa: PTH116
    except NotADirectoryError:  # a manifest names a member of an archive
        return FoundFile(path, *state_of(path))
    except FileNotFoundError:
        return FoundFile(path, -1, -1, "missing-file", f"{path.name}: there is no such file.")
    except OSError as error:
        return FoundFile(path, -1, -1, "unreadable", f"{path.name}: {error.strerror}.")
    if stat.S_ISREG(status.st_mode):
        return FoundFile(path, status.st_size, status.st_mtime_ns)
    what = "a folder that is not searched" if stat.S_ISDIR(status.st_mode) else "no regular file"
    return FoundFile(path, -1, status.st_mtime_ns, "unreadable", f"{path.name}: is {what}; name it in `dicom`.")


def _listed(site: Site) -> Iterator[Path]:
    for root in (site.folder / name for name in site.settings.dicom):
        if root.suffix == ".txt":
            yield from _manifest(root)
        elif root.is_dir():
            yield from _below(root, site)
        elif root.is_file() and is_archive(root):
            yield root
        else:
            raise DataError(f"{root}: there is no such folder; correct `dicom` in {site.folder / SITE_FILE}.")


def _manifest(path: Path) -> Iterator[Path]:
    """One path a line, relative to the manifest's folder."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); it should list one DICOM file a line.") from None
    return (path.parent / line.strip() for line in lines if line.strip())


def _below(root: Path, site: Site) -> Iterator[Path]:
    """Files below a folder; also a folder that cannot be entered and a link to one, which are then named."""
    own = {site.folder / SITE_FILE, site.labels}
    shut: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=lambda error: shut.append(Path(error.filename))):
        here = Path(folder)
        links = [name for name in subfolders if (here / name).is_symlink()]
        subfolders[:] = [name for name in subfolders if here / name != site.cache]
        yield from (path for name in (*names, *links) if (path := here / name) not in own)
    yield from shut
