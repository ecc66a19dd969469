"""Enhanced multi-frame CT: every frame a slice of its own."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.testing import assert_array_equal
from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from bloodnet_model.errors import UnusableSlice
from client.dicom import SliceHeader, decode_hu, read_headers, read_slice_hu
from tests.client.dicom_enhanced import FRAMES, HEAD_HU, enhanced, group
from tests.client.dicom_factory import write_slice
from tests.client.dicom_syntaxes import LOSSLESS, write_streams


def reason_of(path: Path) -> str:
    with pytest.raises(UnusableSlice) as caught:
        read_headers(path)
    return caught.value.reason


def test_every_frame_has_its_header(tmp_path: Path) -> None:
    headers = read_headers(enhanced(tmp_path / "a"))
    assert [header.frame for header in headers] == list(range(FRAMES))
    assert [header.instance_number for header in headers] == list(range(1, FRAMES + 1))
    assert {header.sop_uid for header in headers} == {headers[0].sop_uid}
    assert [header.position_mm for header in headers] == [(-84, -96, 5 * k) for k in range(FRAMES)]
    assert [header.pixels.intercept for header in headers] == [k - 1024 for k in range(FRAMES)]
    for header in headers:
        assert (header.orientation, header.spacing_mm, header.thickness_mm) == ((1, 0, 0, 0, 1, 0), (6, 6), 5)
        assert (header.kernel, header.image_type) == ("H30", ("ORIGINAL", "PRIMARY", "VOLUME", "NONE"))
        assert SliceHeader.from_json(header.to_json(), header.path) == header


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_every_frame_has_its_pixels(tmp_path: Path, syntax: str) -> None:
    path = enhanced(tmp_path / "a")
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    assert_array_equal(np.stack([decode_hu(header) for header in read_headers(path)]), HEAD_HU)


def test_one_native_frame_is_read_without_the_others(tmp_path: Path) -> None:
    header = read_headers(enhanced(tmp_path / "a"))[7]
    assert header.pixels.offset is not None
    raw = bytearray(header.path.read_bytes())
    frame_bytes = HEAD_HU[0].size * 2
    raw[header.pixels.offset : header.pixels.offset + 7 * frame_bytes] = b"\xff" * 7 * frame_bytes
    header.path.write_bytes(raw[: header.pixels.offset + 8 * frame_bytes])
    assert_array_equal(decode_hu(header), HEAD_HU[7])


@pytest.mark.parametrize("fragments", [1, 2])
@pytest.mark.parametrize("table", [True, False])
def test_one_compressed_frame_is_decoded_without_the_others(tmp_path: Path, table: bool, fragments: int) -> None:
    syntax = "1.2.840.10008.1.2.4.80"
    frames = [LOSSLESS[syntax]((plane + 1024).astype(np.uint16)) for plane in HEAD_HU]
    frames[3] = frames[3][:200]  # one broken frame does not spoil the rest
    path = write_streams(tmp_path / "a", HEAD_HU[0], syntax, frames, fragments=fragments, table=table, dtype="<u2")
    groups = [group(PlanePosition={"ImagePositionPatient": [0, 0, k]}) for k in range(FRAMES)]
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID, dataset.NumberOfFrames = EnhancedCTImageStorage, FRAMES
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.save_as(path)
    headers = read_headers(path)
    for k in (0, 4, FRAMES - 1):
        assert_array_equal(decode_hu(headers[k]), HEAD_HU[k])
    with pytest.raises(UnusableSlice, match="cannot be decoded"):
        decode_hu(headers[3])


def test_contrast_is_told_by_frame(tmp_path: Path) -> None:
    agent = Dataset()
    agent.CodeMeaning = "Iopromide"
    groups = [
        group(
            PlanePosition={"ImagePositionPatient": [0, 0, k]},
            ContrastBolusUsage={"ContrastBolusAgentNumber": 1, "ContrastBolusAgentAdministered": "YES" if k else "NO"},
        )
        for k in range(FRAMES)
    ]
    headers = read_headers(enhanced(tmp_path / "a", per_frame=groups, ContrastBolusAgentSequence=[agent]))
    assert [header.contrast_agent for header in headers[:3]] == ["", "Iopromide", "Iopromide"]


def test_a_frame_without_position_is_left_to_the_rules(tmp_path: Path) -> None:
    headers = read_headers(enhanced(tmp_path / "a", per_frame=[group() for _ in range(FRAMES)]))
    assert {header.position_mm for header in headers} == {None}
    with pytest.raises(UnusableSlice) as caught:
        decode_hu(headers[0])
    assert caught.value.reason == "no-rescale"


def test_files_whose_frames_cannot_be_placed(tmp_path: Path) -> None:
    frames = np.zeros((2, 4, 4), np.int16).tobytes()
    plain = write_slice(tmp_path / "a", np.zeros((4, 4)), NumberOfFrames=2, PixelData=frames)
    assert reason_of(plain) == "no-position"
    with pytest.raises(UnusableSlice):
        read_slice_hu(plain)
    capture = "1.2.840.10008.5.1.4.1.1.7.2"
    assert reason_of(write_slice(plain, np.zeros((4, 4)), NumberOfFrames=2, SOPClassUID=capture)) == "secondary"
    assert reason_of(enhanced(tmp_path / "b", per_frame=[])) == "no-position"
    assert reason_of(enhanced(tmp_path / "c", NumberOfFrames=FRAMES + 1)) == "bad-header"
    assert reason_of(enhanced(tmp_path / "d", NumberOfFrames=2_000_000_000)) == "bad-header"


def test_a_frame_beyond_the_pixels_is_truncated(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "a", PixelData=b"\0\0" * HEAD_HU[0].size * 3)
    headers = read_headers(path)
    decode_hu(headers[2])
    with pytest.raises(UnusableSlice) as caught:
        decode_hu(headers[3])
    assert caught.value.reason == "truncated"
