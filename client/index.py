"""Which files a site lists, and which studies their headers make up."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from bloodnet_model.errors import DataError, UnusableSlice
from client.dicom import SliceHeader, read_header
from client.ledger import Ledger
from client.site_settings import SITE_FILE, Site


def listed_files(site: Site) -> Iterator[Path]:
    """Every file below the site's DICOM folders and in its manifests, in no order and perhaps twice.

    The site's own files (settings, labels, cache) are left out. Raises DataError for a folder or manifest that is
    not there.
    """
    for root in (site.folder / name for name in site.settings.dicom):
        if root.suffix == ".txt":
            yield from _manifest(root)
        elif root.is_dir():
            yield from _below(root, site)
        else:
            raise DataError(f"{root}: there is no such folder; correct `dicom` in {site.folder / SITE_FILE}.")


def index_studies(files: Iterable[Path], ledger: Ledger) -> dict[str, list[SliceHeader]]:
    """Headers of all CT files by StudyInstanceUID; every other file becomes a line of the ledger."""
    studies: defaultdict[str, list[SliceHeader]] = defaultdict(list)
    for path in files:
        try:
            header = read_header(path)
            studies[header.study_uid].append(header)
        except UnusableSlice as fault:
            ledger.add("file", path, fault.reason, str(fault))
    return dict(sorted(studies.items()))


def _manifest(path: Path) -> Iterator[Path]:
    """One path a line, relative to the manifest's folder."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); it should list one DICOM file a line.") from None
    return (path.parent / line.strip() for line in lines if line.strip())


def _below(root: Path, site: Site) -> Iterator[Path]:
    own = {site.folder / SITE_FILE, site.labels}
    for folder, subfolders, names in os.walk(root):
        here = Path(folder)
        subfolders[:] = [name for name in subfolders if here / name != site.cache]
        yield from (path for name in names if (path := here / name) not in own)
