"""Real CT files: every value against an inventory made beforehand, and what becomes of each series.

The files are other people's and never part of the project: point BLOODNET_REAL_DATA at the folder that holds
DICOM_INVENTORY.csv.
"""

import csv
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bloodnet_model.errors import UnusableSlice
from bloodnet_model.preprocessing import head_centre
from bloodnet_model.reasons import REASONS
from client.dicom import SliceHeader, decode_hu, read_headers, read_slice_hu
from client.series_selection import Selection, select_series
from client.site_settings import SeriesRules
from client.volume import read_volume

DATA = Path(os.environ.get("BLOODNET_REAL_DATA", "/nowhere"))
pytestmark = pytest.mark.skipif(
    not (DATA / "DICOM_INVENTORY.csv").is_file(), reason="BLOODNET_REAL_DATA does not point at the real CT files"
)


UNREADABLE_TO_PYDICOM = ("JPEGProcess6_8", "JPEGProcess10_12")
"""Syntaxes that the inventory's reader could not decode."""


def inventory() -> list[Mapping[str, str]]:
    with (DATA / "DICOM_INVENTORY.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_file_reads_to_the_inventorys_hu_or_says_why_not() -> None:
    outcomes: Counter[str] = Counter()
    for row in inventory():
        headers, stack_hu, reason = stack_or_reason(DATA / row["file"])
        outcomes[reason] += 1
        if headers:
            require_as_listed(row, headers[0], stack_hu)
        else:
            is_ct = row["Modality"] == "CT" and row["decoded"] == "yes"
            assert reason == "not-greyscale" if is_ct else reason in REASONS, f"{row['file']}: {reason}"
    assert outcomes == {
        "read": 205, "no-pixels": 50, "not-ct": 45, "dicomdir": 12, "not-dicom": 4, "not-greyscale": 3
    }  # fmt: skip


def stack_or_reason(path: Path) -> tuple[tuple[SliceHeader, ...], NDArray[np.float32], str]:
    try:
        headers = read_headers(path)
        return headers, np.stack([decode_hu(header) for header in headers]), "read"
    except UnusableSlice as fault:
        return (), np.empty(0, np.float32), fault.reason


def require_as_listed(row: Mapping[str, str], header: SliceHeader, stack_hu: NDArray[np.float32]) -> None:
    """Shape and range; JPEG decoders may differ by one stored value (ITU-T T.83), the inventory knows no frames."""
    if any(name in row["file"] for name in UNREADABLE_TO_PYDICOM):
        assert row["decoded"] == "no"
        return
    assert row["decoded"] == "yes", row["file"]
    slope, intercept = header.pixels.slope or 0, header.pixels.intercept or 0
    if header.frame is None:
        (stack_hu,) = stack_hu
        assert (slope, intercept) == (float(row["RescaleSlope"]), float(row["RescaleIntercept"]))
    assert "x".join(map(str, stack_hu.shape)) == row["shape"]
    listed = [slope * float(row[name]) + intercept for name in ("raw_min", "raw_max")]
    lossy = "JPEG Extended" in row["TransferSyntax"] or "JPEG Baseline" in row["TransferSyntax"]
    assert [stack_hu.min(), stack_hu.max()] == pytest.approx(listed, abs=1.01 * slope if lossy else 0.01), row["file"]


def test_one_slice_in_sixteen_syntaxes() -> None:
    folder = DATA / "dicom-robustness/cornerstone3D"
    reference_hu = read_slice_hu(folder / "CTImage.dcm")
    tissue = reference_hu > -1100
    largest: dict[str, float] = {}
    for path in folder.glob("CTImage.dcm_*"):
        difference_hu = np.abs(read_slice_hu(path) - reference_hu)
        largest[path.name.split("_")[1]] = float(difference_hu[tissue].mean())
    lossy = {name: difference for name, difference in largest.items() if difference}
    assert len(largest) == 15
    assert set(lossy) == {
        "JPEG2000TransferSyntax", "JPEGLSLossyTransferSyntax",
        "JPEGProcess1TransferSyntax", "JPEGProcess2", "JPEGProcess6", "JPEGProcess10",
    }  # fmt: skip
    assert max(lossy.values()) < 20  # Process 1 has 8 bits for all of HU


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
                headers = read_headers(path)
                studies.setdefault(headers[0].study_uid[-6:], []).extend(headers)
    return {study: select_series(headers, SeriesRules()) for study, headers in studies.items()}


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (
            "head-ct-series",
            {
                "915668": (28, "", ["mixed-thickness"]),
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
                ".14401": (0, "secondary", ["secondary"]),
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
