"""Headers and slices in HU, from files as scanners, archives and faults leave them."""

import os
import pickle
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from bloodnet_model.errors import UnusableSlice
from bloodnet_model.reasons import REASONS
from client.dicom import SliceHeader, read_headers, read_slice_hu
from tests.client.dicom_factory import uid, write_slice

PLANE_HU = np.random.default_rng(0).integers(-1000, 2000, (6, 5)).astype(np.float32)


def reason_of(path: Path) -> str:
    with pytest.raises(UnusableSlice) as caught:
        read_slice_hu(path)
    assert caught.value.reason in REASONS
    return caught.value.reason


def read_header(path: Path) -> SliceHeader:
    (header,) = read_headers(path)
    return header


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
    assert (header.frame, header.padding, header.burned_in, header.identified) == (None, None, False, False)
    assert header.scanner == "unknown"


def test_a_header_names_its_scanner(tmp_path: Path) -> None:
    made_by: dict[str, Any] = {"Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "Revolution CT"}
    assert read_header(write_slice(tmp_path / "a", PLANE_HU, **made_by)).scanner == "ge-revolution-ct"
    assert read_header(write_slice(tmp_path / "b", PLANE_HU, meta=False, **made_by)).scanner == "ge-revolution-ct"


def test_headers_travel_between_processes_and_through_json(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU, PixelPaddingValue=-2000, PatientName="Müller^Jörg", ImageType=None)
    header = read_header(path)
    assert pickle.loads(pickle.dumps(header)) == header
    assert SliceHeader.from_json(header.to_json(), path) == header
    assert str(tmp_path) not in header.to_json()
    assert pickle.loads(pickle.dumps(read_headers)) is read_headers
    with pytest.raises(ValueError, match="version"):
        SliceHeader.from_json(header.to_json().replace(",true", "", 1), path)


@pytest.mark.parametrize(
    ("tags", "identified"),
    [
        ({}, False),
        ({"PatientName": "Doe^Jane"}, True),
        ({"PatientName": "ANONYMIZED"}, False),
        ({"PatientName": "Anonymous^^"}, False),
        ({"PatientName": "CQ500-CT-17"}, False),
        ({"PatientName": "^^^^"}, False),
        ({"PatientName": "REMOVED"}, False),
        ({"PatientName": "X"}, False),
        ({"PatientBirthDate": "19570813"}, True),
        ({"PatientBirthDate": "19570101"}, False),
        ({"PatientBirthDate": ""}, False),
        ({"PatientAddress": "12 Elm Street"}, True),
        ({"PatientTelephoneNumbers": "none"}, False),
        ({"PatientMotherBirthName": "Roe"}, True),
        ({"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"}, True),
    ],
    ids=str,
)
def test_headers_that_name_the_patient_are_told(tmp_path: Path, tags: dict[str, Any], identified: bool) -> None:
    assert read_header(write_slice(tmp_path / "a", PLANE_HU, **tags)).identified is identified


def test_burned_in_annotation_is_told(tmp_path: Path) -> None:
    assert read_header(write_slice(tmp_path / "a", PLANE_HU, BurnedInAnnotation="YES")).burned_in
    assert not read_header(write_slice(tmp_path / "b", PLANE_HU, BurnedInAnnotation="NO")).burned_in


@pytest.mark.parametrize(
    ("dtype", "vr", "spelled", "padding"),
    [
        ("<i2", "SS", -2000, -2000),
        ("<i2", "US", 63536, -2000),
        ("<u2", "US", 63536, 63536),
        ("<u2", "SS", -2000, 63536),
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_padding_is_read_as_the_pixels_are(
    tmp_path: Path, dtype: str, vr: str, spelled: int, padding: int, syntax: str
) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU, dtype=dtype)
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x00280120, vr, spelled)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    pydicom.dcmwrite(
        path, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian="Big" not in UID(syntax).name
    )
    assert read_header(path).padding == padding


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
    assert written(NumberOfFrames=2) == "no-position"
    assert written(SamplesPerPixel=3) == "not-greyscale"
    assert written(RescaleIntercept=None) == "no-rescale"
    assert written(Modality="MR") == "not-ct"
    assert written(SeriesInstanceUID=None) == "bad-header"
    assert written(PixelData=b"\0" * 10) == "truncated"


def test_a_number_of_frames_that_is_none_is_a_bad_header(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU, NumberOfFrames="11")
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x0011", b"IS\x02\x001A"))
    assert reason_of(path) == "bad-header"


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


def test_a_wrong_value_representation_is_read_by_its_own(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU)
    dataset = pydicom.dcmread(path)
    for tag, vr, value in (
        (0x00280010, "IS", 6),
        (0x00280011, "UL", 5),
        (0x00280030, "FD", [6, 6]),
        (0x00181210, "UN", b"B "),
    ):
        del dataset[tag]
        dataset.add_new(tag, vr, value)
    dataset.save_as(path)
    header = read_header(path)
    assert (header.rows, header.columns, header.spacing_mm, header.kernel) == (6, 5, (6, 6), "B")
    assert_array_equal(read_slice_hu(path), PLANE_HU)


def test_multi_valued_windows_and_private_sequences_are_passed_over(tmp_path: Path) -> None:
    private = pydicom.Dataset()
    private.add_new(0x00091001, "LO", "private")
    private.ReferencedImageSequence = [pydicom.Dataset()]
    private.PatientID = "another patient, in a sequence"
    path = write_slice(tmp_path / "a", PLANE_HU, WindowCenter=[40, 80, 600], WindowWidth=[80, 200, 2800])
    dataset = pydicom.dcmread(path)
    for undefined in (False, True):
        dataset.add_new(0x00091010, "SQ", [private, private])
        dataset[0x00091010].is_undefined_length = undefined
        for item in dataset[0x00091010].value:
            item.is_undefined_length_sequence_item = undefined
        for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
            dataset.file_meta.TransferSyntaxUID = syntax
            pydicom.dcmwrite(path, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
            assert read_header(path).patient_id == "P1"
            assert_array_equal(read_slice_hu(path), PLANE_HU)


def test_values_end_in_spaces_and_nuls(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU, patient="P9012345", SeriesDescription="Head 5mm")
    path.write_bytes(path.read_bytes().replace(b"P9012345", b"P9 \0\0 \0 "))
    assert read_header(path).patient_id == "P9"


def test_a_meta_group_may_lack_its_length(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU)
    raw = path.read_bytes()
    path.write_bytes(raw[:132] + raw[144:])
    assert raw[132:136] == b"\2\0\0\0"
    assert_array_equal(read_slice_hu(path), PLANE_HU)


def test_a_preamble_may_be_missing(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU)
    path.write_bytes(path.read_bytes()[132:])
    assert_array_equal(read_slice_hu(path), PLANE_HU)


def test_a_directory_of_files_is_none_of_them(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "DICOMDIR", PLANE_HU)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    dataset.save_as(path)
    assert reason_of(path) == "dicomdir"


def test_a_dose_report_is_no_ct(tmp_path: Path) -> None:
    path = write_slice(
        tmp_path / "a", PLANE_HU, Modality="SR", SOPClassUID=pydicom.uid.XRayRadiationDoseSRStorage, PixelData=None
    )
    assert reason_of(path) == "not-ct"


def test_bogus_lengths_take_no_memory(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU, Rows=65535, Columns=65535)
    assert reason_of(path) == "wrong-shape"
    write_slice(path, PLANE_HU, Rows=8000, Columns=8000)
    assert reason_of(path) == "truncated"
    raw = write_slice(path, PLANE_HU).read_bytes()
    at = raw.index(b"\x08\x00\x08\x00CS")
    path.write_bytes(raw[:at] + b"\x08\x00\x08\x00UT\0\0\xf0\xff\xff\xff" + raw[at + 8 :])
    assert reason_of(path) in ("not-dicom", "not-ct", "bad-header")


def test_a_cut_file_is_told(tmp_path: Path) -> None:
    raw = write_slice(tmp_path / "whole", PLANE_HU).read_bytes()
    path = tmp_path / "a"
    path.write_bytes(raw[:-10])
    assert reason_of(path) == "truncated"
    path.write_bytes(raw[: raw.index(b"\x20\x00\x0e\x00")])
    assert reason_of(path) == "bad-header"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """A pipe would wait for its writer for ever."""
    os.mkfifo(tmp_path / "pipe")
    assert reason_of(tmp_path / "pipe") == "not-dicom"
    assert reason_of(Path("/dev/zero")) == "not-dicom"
    assert reason_of(tmp_path) == "unreadable"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert reason_of(tmp_path / "socket") in ("unreadable", "not-dicom")


def test_encapsulated_pixels_under_a_native_syntax_are_no_noise(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(path)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.1\0"))
    assert reason_of(path) == "undecodable"
