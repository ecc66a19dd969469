"""The fast walker against pydicom: the same elements, or the admission that pydicom must judge."""

import io
import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from client.elements import Elements
from client.header_reference import read_elements
from client.header_scan import HEAD_BYTES, Surprised, scan
from tests.client.dicom_factory import write_slice

PLANE_HU = np.zeros((4, 4), np.float32)
DATA = Path(os.environ.get("BLOODNET_REAL_DATA", "/nowhere"))


def scanned(raw: bytes) -> Elements | None:
    """What the walker finds; None where it gives way."""
    try:
        return scan(io.BytesIO(raw))
    except (Surprised, ValueError):
        return None


def require_equal(raw: bytes) -> bool:
    """Whether the walker read the file; it is then held against pydicom."""
    found = scanned(raw)
    if found is None:
        return False
    try:
        reference = read_elements(io.BytesIO(raw))
    except zlib.error:  # pydicom inflates all at once; the walker as far as the header goes
        assert found.syntax == DeflatedExplicitVRLittleEndian
        return True
    assert found.values == {tag: value for tag, value in reference.values.items() if tag in found.values}
    assert not any(value for tag, value in reference.values.items() if tag not in found.values)
    assert (found.syntax, found.part10) == (reference.syntax, reference.part10)
    assert found.pixels_bytes == reference.pixels_bytes
    if found.syntax != DeflatedExplicitVRLittleEndian:
        assert found.pixels_at == reference.pixels_at
    return True


def rich_file(path: Path, syntax: str, **tags: Any) -> bytes:
    """A slice with sequences of all kinds, private elements and long values before and behind what is wanted."""
    scanner: dict[str, Any] = {"Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "Revolution CT"}
    write_slice(path, PLANE_HU, PatientName="Doe^Jane", PixelPaddingValue=-2000, **scanner, **tags)
    dataset = pydicom.dcmread(path)
    inner = pydicom.Dataset()
    inner.PatientID = "inner"
    inner.ReferencedImageSequence = [pydicom.Dataset(), pydicom.Dataset()]
    for tag, undefined in ((0x00081140, True), (0x00081115, False), (0x00091010, True), (0x00400275, True)):
        dataset.add_new(tag, "SQ", [inner, pydicom.Dataset()])
        dataset[tag].is_undefined_length = undefined
    for item in dataset[0x00400275].value:
        item.is_undefined_length_sequence_item = True
    dataset.add_new(0x00091020, "OB", b"\1" * 300)
    dataset.add_new(0x00091030, "UN", b"\2" * 9000)
    dataset.add_new(0x00204000, "LT", "comment " * 20)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.set_original_encoding(syntax == ImplicitVRLittleEndian, True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path.read_bytes()


SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_both_ways_find_the_same(tmp_path: Path, syntax: str) -> None:
    raw = rich_file(tmp_path / "a", syntax)
    assert require_equal(raw)
    found = scanned(raw)
    assert found is not None
    assert (found.text(0x00100020), found.text(0x00081090)) == ("P1", "Revolution CT")
    assert found.pixels_at is not None


def test_what_the_walker_does_not_know_is_left_to_pydicom(tmp_path: Path) -> None:
    big = write_slice(tmp_path / "a", PLANE_HU, syntax=ExplicitVRBigEndian, dtype=">i2").read_bytes()
    bare = write_slice(tmp_path / "b", PLANE_HU, meta=False).read_bytes()
    private = rich_file(tmp_path / "c", ExplicitVRLittleEndian).replace(
        b"1.2.840.10008.1.2.1\0", b"1.2.840.113619.5.2\0\0"
    )
    for raw in (big, bare, private):
        assert scanned(raw) is None


@pytest.mark.parametrize("extra", [0, HEAD_BYTES[0], HEAD_BYTES[1], 2 * HEAD_BYTES[1]])
def test_long_elements_before_the_pixels_are_stepped_over(tmp_path: Path, extra: int) -> None:
    path = write_slice(tmp_path / "a", PLANE_HU)
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x00091030, "OB", b"\2" * extra)
    dataset.save_as(path)
    assert require_equal(path.read_bytes())


def test_a_header_at_the_edge_of_what_is_read_first(tmp_path: Path) -> None:
    """Every place at which the first read may cut an element."""
    raw = rich_file(tmp_path / "a", ExplicitVRLittleEndian)
    pixels = raw.index(b"\xe0\x7f\x10\x00")
    dataset = pydicom.dcmread(tmp_path / "a")
    for shift in range(-12, pixels - len(raw) + 60, 2):
        dataset[0x00091030].value = b"\2" * (9000 + HEAD_BYTES[0] - pixels + shift)
        dataset.save_as(tmp_path / "b")
        assert require_equal((tmp_path / "b").read_bytes())


def test_files_without_pixels_are_walked_to_their_end(tmp_path: Path) -> None:
    for syntax in SYNTAXES:
        raw = rich_file(tmp_path / "a", syntax, PixelData=None)
        assert require_equal(raw)


RICH: dict[str, bytes] = {}


@pytest.fixture(scope="module", autouse=True)
def _rich(tmp_path_factory: pytest.TempPathFactory) -> None:
    for syntax in SYNTAXES:
        RICH[syntax] = rich_file(tmp_path_factory.mktemp("rich") / "a", syntax)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(SYNTAXES), st.integers(0, 2**32 - 1))
def test_both_ways_agree_on_damaged_files(syntax: str, seed: int) -> None:
    """Where the walker is not surprised, pydicom must not see anything else."""
    require_equal(mutated(RICH[syntax], random.Random(seed)))


def mutated(raw: bytes, rng: random.Random) -> bytes:
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(132, len(data))
        change = rng.randrange(4)
        if change == 0:
            data[at] = rng.choice((0, 0xFF, rng.randrange(256)))
        elif change == 1:
            del data[at : at + rng.choice((1, 2, 8, 100))]
        elif change == 2:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 8, 100)))
        else:
            data[at : at + 4] = struct.pack("<I", rng.choice((0, 0xFFFFFFFF, 1 << 16, rng.randrange(1 << 32))))
        if len(data) <= 140:
            return bytes(data)
    return bytes(data)


@pytest.mark.skipif(not DATA.is_dir(), reason="BLOODNET_REAL_DATA does not point at the real CT files")
def test_both_ways_agree_on_every_real_file() -> None:
    walked = 0
    for path in sorted(DATA.rglob("*")):
        if path.is_file():
            walked += require_equal(path.read_bytes())
    assert walked > 280


def test_the_usual_file_needs_no_pydicom(tmp_path: Path) -> None:
    """Its import would cost each worker process a quarter of a second."""
    path = write_slice(tmp_path / "a", PLANE_HU)
    code = (
        "import sys; from pathlib import Path; from client.dicom import read_headers, decode_hu;"
        f"decode_hu(read_headers(Path({str(path)!r}))[0]); sys.exit('pydicom' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
