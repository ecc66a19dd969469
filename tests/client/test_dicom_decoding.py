"""Slices from every transfer syntax that can be written here, whole and damaged."""

import struct
from contextlib import suppress
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, generate_frames

from bloodnet_model.errors import UnusableSlice
from client.dicom import decode_hu, read_headers, read_slice_hu
from client.encapsulation import frame_stream
from tests.client.dicom_factory import write_slice
from tests.client.dicom_syntaxes import LOSSLESS, LOSSY, write_compressed, write_streams

RLE = "1.2.840.10008.1.2.5"
JPEG, JPEG_LOSSLESS, JPEG_LS = (f"1.2.840.10008.1.2.4.{number}" for number in (51, 70, 80))
JPEG_2000, HTJ2K = (f"1.2.840.10008.1.2.4.{number}" for number in (90, 201))


def plane_hu(seed: int = 0) -> NDArray[np.float32]:
    """(40, 48) HU of a bright disc in air, with noise: values on both sides of 0."""
    row, column = np.mgrid[:40, :48]
    disc = np.where(np.hypot(row - 19.5, column - 23.5) < 17, 40.0, -1000.0)
    return (disc + np.random.default_rng(seed).normal(0, 8, disc.shape).round()).astype(np.float32)


PLANE_HU = plane_hu()


def reason_of(path: Path) -> str:
    with pytest.raises(UnusableSlice) as caught:
        read_slice_hu(path)
    return caught.value.reason


@pytest.mark.parametrize("dtype", ["<i2", "<u2"])
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_syntaxes_give_the_values_back(tmp_path: Path, syntax: str, dtype: str) -> None:
    path = write_compressed(tmp_path / "a", PLANE_HU, syntax, dtype=dtype, intercept=0 if dtype == "<i2" else -1100)
    assert_array_equal(read_slice_hu(path), PLANE_HU)


@pytest.mark.parametrize("syntax", LOSSY)
def test_lossy_syntaxes_come_close(tmp_path: Path, syntax: str) -> None:
    path = write_compressed(tmp_path / "a", PLANE_HU, syntax, dtype="<u2", intercept=-1100, BitsStored=12)
    assert_allclose(read_slice_hu(path), PLANE_HU, atol=16)


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_LS])
def test_a_stream_that_knows_no_sign_is_read_with_the_headers(tmp_path: Path, syntax: str) -> None:
    """Twelve bits of two's complement: the sign is bit 11, and the decoder sees a large number."""
    bits = PLANE_HU.astype(np.int16).view(np.uint16) & 0x0FFF
    stream = (
        imagecodecs.jpeg8_encode(bits, lossless=True, bitspersample=12)
        if syntax == JPEG_LOSSLESS
        else imagecodecs.jpegls_encode(bits)
    )
    path = write_streams(tmp_path / "a", PLANE_HU, syntax, [bytes(stream)], intercept=0, BitsStored=12, HighBit=11)
    assert_array_equal(read_slice_hu(path), PLANE_HU)


def test_jpeg_2000_whose_sign_contradicts_the_header(tmp_path: Path) -> None:
    stored = PLANE_HU.astype(np.int16)
    unsigned = bytes(
        imagecodecs.jpeg2k_encode(stored.view(np.uint16) & 0x1FFF, codecformat="j2k", reversible=True, bitspersample=13)
    )
    path = write_streams(tmp_path / "a", PLANE_HU, JPEG_2000, [unsigned], intercept=0, BitsStored=13, HighBit=12)
    assert_array_equal(read_slice_hu(path), PLANE_HU)
    signed = bytes(imagecodecs.jpeg2k_encode(stored - 2000, codecformat="j2k", reversible=True, level=0))
    path = write_streams(tmp_path / "a", PLANE_HU, JPEG_2000, [signed], dtype="<u2", intercept=2000 - 65536)
    assert_array_equal(read_slice_hu(path), PLANE_HU)


def test_unused_bits_of_run_lengths_are_ignored(tmp_path: Path) -> None:
    junk = (PLANE_HU.astype(np.int64) & 0x0FFF | 0x5000).astype(np.uint16)
    stream = LOSSLESS[RLE](junk)
    path = write_streams(tmp_path / "a", PLANE_HU, RLE, [stream], intercept=0, BitsStored=12, HighBit=11)
    assert_array_equal(read_slice_hu(path), PLANE_HU)


@pytest.mark.parametrize("bits", [8, 32])
def test_other_widths_of_native_pixels(tmp_path: Path, bits: int) -> None:
    values = np.array([[3, 200], [0, 77]])
    path = write_slice(
        tmp_path / "a",
        values,
        dtype=f"<u{bits // 8}",
        intercept=0,
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
    )
    assert_array_equal(read_slice_hu(path), values)


def test_widths_that_nothing_reads_are_undecodable(tmp_path: Path) -> None:
    assert reason_of(write_slice(tmp_path / "a", PLANE_HU, BitsAllocated=12)) == "undecodable"


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("fragments", [1, 3])
def test_fragments_of_one_frame_belong_together(tmp_path: Path, fragments: int, table: bool) -> None:
    stream = LOSSLESS[JPEG_LS](PLANE_HU.astype(np.int16).view(np.uint16))
    path = write_streams(tmp_path / "a", PLANE_HU, JPEG_LS, [stream], fragments=fragments, table=table, intercept=0)
    assert_array_equal(read_slice_hu(path), PLANE_HU)


@pytest.mark.parametrize("syntax", [s for s in {**LOSSLESS, **LOSSY} if s != RLE])
def test_a_broken_off_stream_is_no_slice(tmp_path: Path, syntax: str) -> None:
    """libjpeg would fill up the rest of the image with what it last saw."""
    stream = {**LOSSLESS, **LOSSY}[syntax]((PLANE_HU + 1100).astype(np.uint16))
    for part in (stream[: len(stream) // 2], stream[:-40], stream[: len(stream) // 2] + bytes(len(stream) // 2)):
        path = write_streams(tmp_path / "a", PLANE_HU, syntax, [part], dtype="<u2", intercept=-1100)
        assert reason_of(path) == "undecodable"


def test_a_file_that_ends_within_its_pixels_is_truncated(tmp_path: Path) -> None:
    raw = write_compressed(tmp_path / "a", PLANE_HU, JPEG_LOSSLESS).read_bytes()
    (tmp_path / "a").write_bytes(raw[:-200])
    assert reason_of(tmp_path / "a") == "truncated"
    (tmp_path / "a").write_bytes(raw[:-8])  # without the delimiter alone, nothing is lost
    assert_array_equal(read_slice_hu(tmp_path / "a"), PLANE_HU)


@pytest.mark.parametrize("syntax", [JPEG, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K])
def test_a_stream_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path, syntax: str) -> None:
    stream = {**LOSSLESS, **LOSSY}[syntax](np.zeros((64, 64), np.uint16))
    assert reason_of(write_streams(tmp_path / "a", PLANE_HU, syntax, [stream])) == "wrong-shape"


def test_run_lengths_that_point_outside_their_stream_are_refused(tmp_path: Path) -> None:
    """The decoder would read there, and end the process."""
    stream = LOSSLESS[RLE](np.ascontiguousarray(PLANE_HU.astype(np.int16).view(np.uint16)))
    for header in ((2, 64, 1 << 31), (2, 64, 64), (2, 900, 100), (1, 64, 0), (15, *range(64, 79))):
        broken = struct.pack(f"<{len(header)}I", *header).ljust(64, b"\0") + stream[64:]
        assert reason_of(write_streams(tmp_path / "a", PLANE_HU, RLE, [broken])) == "undecodable"
    short = LOSSLESS[RLE](np.zeros((8, 8), np.uint16))
    assert reason_of(write_streams(tmp_path / "a", PLANE_HU, RLE, [short])) == "undecodable"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.52", "1.2.840.10008.1.2.4.100", "1.2.840.113619.5.2"])
def test_a_syntax_without_decoder_is_named(tmp_path: Path, syntax: str) -> None:
    path = write_streams(tmp_path / "a", PLANE_HU, syntax, [b"\0" * 100])
    (header,) = read_headers(path)
    with pytest.raises(UnusableSlice, match=pydicom.uid.UID(syntax).name.split("(")[0].strip()) as caught:
        decode_hu(header)
    assert caught.value.reason == "undecodable"


def test_native_pixels_under_a_compressed_syntax_are_undecodable(tmp_path: Path) -> None:
    raw = write_slice(tmp_path / "a", PLANE_HU).read_bytes()
    (tmp_path / "a").write_bytes(raw.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"))
    assert reason_of(tmp_path / "a") == "undecodable"


def test_the_fragments_of_a_frame_are_those_that_pydicom_finds(tmp_path: Path) -> None:
    planes = [plane_hu(seed) for seed in range(4)]
    streams = [LOSSLESS[JPEG_LS](plane.astype(np.int16).view(np.uint16)) for plane in planes]
    for fragments, table in ((1, True), (1, False), (2, True), (2, False), (5, True)):
        data = encapsulate(streams, fragments_per_frame=fragments, has_bot=table)
        path = tmp_path / "a"
        path.write_bytes(b"before" + data + b"\xfe\xff\xdd\xe0\0\0\0\0behind")
        expected = list(generate_frames(data, number_of_frames=4))
        with path.open("rb") as file:
            assert [frame_stream(file, 6, frame, 4) for frame in range(4)] == expected


def test_a_deflated_file_may_go_on_long_behind_its_pixels(tmp_path: Path) -> None:
    deflated = pydicom.uid.DeflatedExplicitVRLittleEndian
    path = write_slice(tmp_path / "a", PLANE_HU, syntax=deflated, DataSetTrailingPadding=b"\1" * 400_000)
    assert_array_equal(read_slice_hu(path), PLANE_HU)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 6 // 10])
    assert reason_of(path) in ("truncated", "undecodable")


def test_a_file_that_changed_since_its_header_was_read_stays_in_the_error_tree(tmp_path: Path) -> None:
    deflated = pydicom.uid.DeflatedExplicitVRLittleEndian
    for content in (b"", b"x" * 5000, b"\0" * 128 + b"DICM\2\0\0\0??"):
        for path in (
            write_slice(tmp_path / "a", PLANE_HU),
            write_slice(tmp_path / "b", PLANE_HU, syntax=deflated),
            write_compressed(tmp_path / "c", PLANE_HU, RLE),
        ):
            (header,) = read_headers(path)
            path.write_bytes(content)
            with suppress(UnusableSlice):
                decode_hu(header)
