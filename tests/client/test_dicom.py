"""Headers and slices in HU, from files as scanners, archives and faults leave them."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from bloodnet_model.errors import UnusableSlice
from client.dicom import read_header, read_slice_hu
from client.ledger import REASONS
from tests.client.dicom_factory import uid, write_slice

PLANE_HU = np.random.default_rng(0).integers(-1000, 2000, (6, 5)).astype(np.float32)


def reason_of(path: Path) -> str:
    with pytest.raises(UnusableSlice) as caught:
        read_slice_hu(path)
    assert caught.value.reason in REASONS
    return caught.value.reason


def test_header_holds_what_the_rules_need(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU, index=3, study=7, patient="P9", ContrastBolusAgent="ISOVUE")
    header = read_header(path)
    assert (header.study_uid, header.series_uid, header.sop_uid) == (uid(7), uid(7, 1), uid(7, 1, 4))
    assert (header.patient, header.accession_number, header.contrast_agent) == ("P9", "A7", "ISOVUE")
    assert header.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert (header.rows, header.columns, header.instance_number, header.thickness_mm) == (6, 5, 4, 5.0)
    assert header.position_mm == (-84.0, -96.0, 15.0)
    assert header.orientation == (1, 0, 0, 0, 1, 0)
    assert header.spacing_mm == (6.0, 6.0)


def test_empty_patient_id_makes_the_study_its_own_patient(tmp_path: Path) -> None:
    assert read_header(write_slice(tmp_path / "a", PLANE_HU, study=4, patient="")).patient == uid(4)


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"dtype": "<u2"},
        {"intercept": 0},
        {"syntax": ImplicitVRLittleEndian},
        {"syntax": DeflatedExplicitVRLittleEndian},
        {"syntax": ExplicitVRBigEndian, "dtype": ">i2"},
        {"meta": False},
    ],
    ids=str,
)
def test_hu_do_not_depend_on_how_they_are_stored(tmp_path: Path, stored: dict[str, Any]) -> None:
    hu = read_slice_hu(write_slice(tmp_path / "a", PLANE_HU, **stored))
    assert hu.dtype == np.float32
    assert_array_equal(hu, PLANE_HU)


def test_compressed_pixels(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(path)
    assert_array_equal(read_slice_hu(path), PLANE_HU)


def test_slope_applies_and_padding_stays(tmp_path: Path) -> None:
    plane: NDArray[np.float32] = np.full((4, 4), -976, np.float32)  # stored as 48
    path = write_slice(tmp_path / "a", plane, RescaleSlope="0.5")
    assert_array_equal(read_slice_hu(path), np.full((4, 4), -1000))
    padded = write_slice(tmp_path / "b", np.full((4, 4), -3024), PixelPaddingValue=-2000)
    assert_array_equal(read_slice_hu(padded), np.full((4, 4), -3024))


def test_wrapped_12_bit_values_are_unwrapped(tmp_path: Path) -> None:
    """A scanner's file with air at 3096, water at 0 and bone at 1000, which announces an intercept of 0."""
    path = write_slice(tmp_path / "a", np.array([[3096, 0], [40, 1000]]), dtype="<u2", intercept=0, BitsStored=12)
    assert_array_equal(read_slice_hu(path), [[-1000, 0], [40, 1000]])


def test_proper_12_bit_values_are_left_alone(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", np.array([[-1024, 0], [40, 3071]]), dtype="<u2", BitsStored=12)
    assert_array_equal(read_slice_hu(path), [[-1024, 0], [40, 3071]])


def test_unused_high_bits_are_ignored(tmp_path: Path) -> None:
    stored = np.array([[0x7FF6, 5]], np.uint16)  # 12 bits of -10 under a foreign nibble
    path = write_slice(tmp_path / "a", np.zeros((1, 2)), intercept=-200, BitsStored=12, PixelData=stored.tobytes())
    assert_array_equal(read_slice_hu(path), [[-210, -195]])


def test_files_that_hold_no_slice_say_why(tmp_path: Path) -> None:
    def written(**tags: Any) -> str:
        return reason_of(write_slice(tmp_path / "a", PLANE_HU, **tags))

    assert written(PixelData=None) == "no-pixels"
    assert written(NumberOfFrames=2) == "multi-frame"
    assert written(SamplesPerPixel=3) == "not-greyscale"
    assert written(RescaleIntercept=None) == "no-rescale"
    assert written(Modality="MR") == "not-ct"
    assert written(SeriesInstanceUID=None) == "bad-header"
    assert written(PixelData=b"\0" * 10) == "truncated"


def test_short_pixels_are_not_filled_from_what_follows_them(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU, PixelData=b"\1\0" * 20, DataSetTrailingPadding=b"\0" * 200)
    assert reason_of(path) == "truncated"


def test_undecodable_pixels_are_no_slice(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.PixelData = pydicom.encaps.encapsulate([b"\x07" * 70])
    dataset.save_as(path)
    assert reason_of(path) == "undecodable"


@pytest.mark.parametrize(
    "content", [b"", b"hello", bytes(range(256)) * 40, b"\0" * 128 + b"DICM", b"PK\3\4" + b"x" * 300]
)
def test_other_files_are_not_taken_for_slices(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    assert reason_of(path) in ("not-dicom", "not-ct")


def test_missing_file(tmp_path: Path) -> None:
    assert reason_of(tmp_path / "gone") == "missing-file"


def test_malformed_numbers_count_as_missing(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU)
    raw = path.read_bytes().replace(b"\\-96", b"\\-9x")
    path.write_bytes(raw)
    assert b"-9x" in raw
    assert read_header(path).position_mm is None
