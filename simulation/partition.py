"""Virtual hospitals: as found (natural), or the patients of all of them dealt out anew (iid).

A virtual hospital is what a real one is, a site folder: site.yaml, labels.csv and a list of its DICOM files.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bloodnet_model.errors import DataError, UnusableSlice
from bloodnet_model.files import write_whole
from bloodnet_model.labels import CLASSES, UNKNOWN
from bloodnet_model.seeds import derive_seed
from client.dicom import SliceHeader, read_headers
from client.labels import LabelRow, LabelTable, read_labels
from client.listing import found_files
from client.site_settings import SITE_FILE, Site, read_site

_KEYS = ("study_instance_uid", "accession_number", "sop_instance_uid")
MANIFEST = "files.txt"


@dataclass
class _Patient:
    """Everything of one patient, from whatever sites it came."""

    files: list[Path] = field(default_factory=list)
    rows: dict[tuple[str, str], LabelRow] = field(default_factory=dict)


def find_sites(folder: Path) -> list[Path]:
    """The site folder that `folder` is, or those it holds; raises DataError where there is none."""
    if (folder / SITE_FILE).is_file():
        return [folder]
    found = sorted((path.parent for path in folder.glob(f"*/{SITE_FILE}")), key=_natural)
    if not found:
        raise DataError(
            f"{folder}: neither a site folder nor a folder of such; each needs a {SITE_FILE} and a labels.csv "
            "(`bloodnet-simulate phantom` writes an example)."
        )
    return found


def deal_patients(sources: Sequence[Path], count: int, seed: int, out: Path) -> list[Path]:
    """Mix the patients of `sources` and deal them to `count` new site folders below `out`, by patient, never by slice.

    Positive and negative patients are dealt in turn, so the sites are alike in size and prevalence.
    """
    sites = [read_site(source) for source in sources]
    patients = _patients(sites)
    if len(patients) < count:
        raise DataError(f"{len(patients)} patients cannot be dealt to {count} sites; give a smaller --sites.")
    names = sorted(patients)
    rng = np.random.default_rng(derive_seed(seed, "partition"))
    shuffled = [names[i] for i in rng.permutation(len(names))]
    order = sorted(shuffled, key=lambda name: not _is_positive(patients[name]))
    settings = {
        "series": {"minimum_slices": min(site.settings.series.minimum_slices for site in sites)},
        "cores": 1,  # the sites share a machine, and each is prepared in a process of its own
        "minimum_cohort": min(site.settings.minimum_cohort for site in sites),
    }
    width = len(str(count))
    folders = []
    for i in range(count):
        folder = out / f"site-{i + 1:0{width}d}"
        _write_site(folder, [patients[name] for name in order[i::count]], settings)
        folders.append(folder)
    return folders


def _patients(sites: Sequence[Site]) -> dict[str, _Patient]:
    """Files and label rows by patient."""
    patients: defaultdict[str, _Patient] = defaultdict(_Patient)
    for site in sites:
        table = read_labels(site.labels)
        for path in sorted({found.path for found in found_files(site)}):
            with suppress(UnusableSlice):  # no CT: of no patient
                headers = read_headers(path)
                patient = patients[headers[0].patient]
                patient.files.append(path)
                patient.rows.update(_rows_of(table, headers))
    return dict(patients)


def _rows_of(table: LabelTable, headers: Sequence[SliceHeader]) -> dict[tuple[str, str], LabelRow]:
    keys = {(_KEYS[0], header.study_uid) for header in headers}
    keys |= {(_KEYS[1], header.accession_number) for header in headers}
    keys |= {(_KEYS[2], header.sop_uid) for header in headers}
    return {key: table.rows[key] for key in sorted(keys & table.rows.keys())}


def _is_positive(patient: _Patient) -> bool:
    return any(row.labels[0] == 1 for row in patient.rows.values())


def _write_site(folder: Path, patients: Sequence[_Patient], settings: Mapping[str, Any]) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}); give a new, writable --out.") from None
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*_KEYS, *CLASSES, "mask", "split"])
    for patient in patients:
        rows.writerows(_csv_row(row) for row in patient.rows.values())
    write_whole(folder / "labels.csv", text.getvalue())
    write_whole(folder / MANIFEST, "".join(f"{path.resolve()}\n" for patient in patients for path in patient.files))
    write_whole(folder / SITE_FILE, yaml.safe_dump({"name": folder.name, "dicom": [MANIFEST], **settings}))


def _csv_row(row: LabelRow) -> list[object]:
    kind, identifier = row.key
    labels = ["" if label == UNKNOWN else label for label in row.labels]
    mask = row.mask.resolve() if row.mask else ""
    return [*(identifier if key == kind else "" for key in _KEYS), *labels, mask, row.split or ""]


def _natural(path: Path) -> tuple[str, int]:
    """hospital-2 before hospital-10."""
    stem = path.name.rstrip("0123456789")
    digits = path.name[len(stem) :]
    return stem, int(digits or 0)
