"""Real CT files: every value against an inventory made beforehand, and what becomes of each series.

The files are other people's and never part of the project: point BLOODNET_REAL_DATA at the folder that holds
DICOM_INVENTORY.csv.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bloodnet_model.errors import UnusableSlice
from bloodnet_model.preprocessing import head_centre
from client.dicom import SliceHeader, read_header, read_slice_hu
from client.ledger import REASONS
from client.series_selection import Selection, select_series
from client.volume import read_volume

DATA = Path(os.environ.get("BLOODNET_REAL_DATA", "/nowhere"))
FOLDERS = ("head-ct-series/", "cq500/CQ500-CT-0/", "dicom-robustness/pydicom-data/", "dicom-robustness/pydicom/693_")

pytestmark = pytest.mark.skipif(
    not (DATA / "DICOM_INVENTORY.csv").is_file(), reason="BLOODNET_REAL_DATA does not point at the real CT files"
)


def inventory() -> Iterator[Mapping[str, str]]:
    with (DATA / "DICOM_INVENTORY.csv").open(encoding="utf-8") as file:
        yield from (row for row in csv.DictReader(file) if row["file"].startswith(FOLDERS))


def test_every_file_reads_to_the_inventorys_hu_or_says_why_not() -> None:
    outcomes: Counter[str] = Counter()
    for row in inventory():
        hu, reason = hu_or_reason(DATA / row["file"])
        outcomes[reason] += 1
        if hu is None:
            is_ct_slice = row["Modality"] == "CT" and row["shape"] == f"{row['Rows']}x{row['Columns']}"
            assert not (is_ct_slice and row["decoded"] == "yes"), f"{row['file']}: {reason}"
            assert reason in REASONS
        else:
            assert row["decoded"] == "yes"
            assert f"{hu.shape[0]}x{hu.shape[1]}" == row["shape"]
            assert (hu.min(), hu.max()) == pytest.approx((float(row["hu_min"]), float(row["hu_max"]))), row["file"]
    assert outcomes == {"read": 172, "not-ct": 7, "not-greyscale": 3, "multi-frame": 1}


def hu_or_reason(path: Path) -> tuple[NDArray[np.float32] | None, str]:
    try:
        return read_slice_hu(path), "read"
    except UnusableSlice as fault:
        return None, fault.reason


def test_a_signed_codestream_under_an_unsigned_header() -> None:
    """A file of one maker whose JPEG 2000 stream and header disagree on the sign."""
    hu = read_slice_hu(DATA / "dicom-robustness/pydicom/J2K_pixelrep_mismatch.dcm")
    assert (hu.min(), hu.max()) == (-2000, 1896)


def test_one_slice_in_four_encodings() -> None:
    pairs = (
        ("pydicom-data/693_J2KR.dcm", "pydicom-data/693_UNCR.dcm"),
        ("pydicom-data/693_UNCI.dcm", "pydicom/693_J2KI.dcm"),
    )
    for a, b in pairs:
        robustness = DATA / "dicom-robustness"
        np.testing.assert_array_equal(read_slice_hu(robustness / a), read_slice_hu(robustness / b))


def studies_below(folder: str) -> dict[str, Selection]:
    """Selection of every study below a folder, by the last digits of its UID."""
    studies: dict[str, list[SliceHeader]] = {}
    for path in sorted((DATA / folder).rglob("*")):
        if path.is_file():
            with suppress(UnusableSlice):
                header = read_header(path)
                studies.setdefault(header.study_uid[-6:], []).append(header)
    return {study: select_series(headers, minimum_slices=8) for study, headers in studies.items()}


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (
            "head-ct-series",
            {
                "915668": (28, "", ["used"]),
                "494460": (54, "", ["used"]),
                "650014": (28, "", ["localizer", "secondary", "used"]),
            },
        ),
        ("cq500/CQ500-CT-0", {"031999": (0, "contrast", ["contrast", "too-few-slices"])}),
        ("dicom-robustness/pydicom/dicomdirtests/TINY_ALPHA", {"882472": (0, "no-pixels", ["no-pixels"])}),
        (
            "dicom-robustness/pydicom-data",
            {
                "800996": (0, "too-few-slices", ["too-few-slices"]),
                "dc8758": (0, "too-few-slices", ["too-few-slices"]),
                ".14401": (0, "multi-frame", ["multi-frame"]),
                "218957": (0, "too-few-slices", ["too-few-slices"]),
            },
        ),
    ],
)
def test_the_series_of_each_study(folder: str, expected: dict[str, tuple[int, str, list[str]]]) -> None:
    found = {
        study: (
            len(selection.slices),
            selection.reason,
            sorted(entry.reason or "used" for entry in selection.entries if entry.kind == "series"),
        )
        for study, selection in studies_below(folder).items()
    }
    assert found == expected


def test_a_tilted_head_keeps_its_place_from_slice_to_slice() -> None:
    """GE HiSpeed, tilt 18.5 degrees, two thicknesses: 4 mm through the base, 7 mm above."""
    (selection,) = studies_below("head-ct-series/ge-hispeed-human-tilt18.5").values()
    volume = read_volume(selection.slices)
    heights = np.array([header.position_mm or () for header in volume.headers])[:, 2]
    assert (np.diff(heights) > 0).all()
    assert volume.hu.shape == (28, 512, 512)
    row, column = head_centre(volume.hu)
    middles = []
    for plane in volume.hu[8:22]:  # where the brain is
        rows, columns = np.nonzero((plane > 0) & (plane < 80))
        middles.append((np.median(rows), np.median(columns)))
    drift_mm = np.abs(np.array(middles) - (row, column)).max() * volume.spacing_mm[0]
    assert drift_mm < 25
