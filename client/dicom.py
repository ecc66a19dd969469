"""One DICOM file: what its header says, and its slice in HU.

A header is read once, its values taken raw: the rules look for ASCII words and numbers only, and pydicom's conversion
of a value costs more than finding it. Of native pixel data the header remembers the place in the file, so that a
slice is then one read; compressed data go through pydicom and its plugins.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.filereader import read_partial
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from bloodnet_model.errors import UnusableSlice

PIXEL_DATA: Final = 0x7FE00010
UNDEFINED_LENGTH: Final = 0xFFFFFFFF
LARGE_VALUE: Final = 8192
"""Bytes above which a value is skipped: none of ours is so long, and junk must not be read into memory."""


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How the pixels of one file are stored (PS3.3 C.7.6.3) and what turns them into HU (C.11.1)."""

    bits_allocated: int
    bits_stored: int
    signed: bool
    samples: int
    frames: int
    slope: float | None
    intercept: float | None
    offset: int | None
    """Position in the file of native little-endian pixels; None where they need a decoder."""
    bytes: int | None
    """Length of the pixel data; None where the file has none."""


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """What is known of one file before its pixels are read; lengths in mm, positions in DICOM's LPS coordinates."""

    path: Path
    sop_uid: str
    series_uid: str
    study_uid: str
    patient_id: str
    accession_number: str
    modality: str
    image_type: tuple[str, ...]
    description: str
    kernel: str
    contrast_agent: str
    thickness_mm: float | None
    instance_number: int | None
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    rows: int
    columns: int
    transfer_syntax: str
    pixels: PixelLayout

    @property
    def patient(self) -> str:
        """Whom the study belongs to: PatientID, or the study itself where an export emptied it."""
        return self.patient_id or self.study_uid


def read_header(path: Path) -> SliceHeader:
    """Header of a CT slice, up to its pixels.

    Files without preamble or meta group are read all the same (old exports lose both), and accepted
    where they hold what identifies a CT. Raises UnusableSlice: "missing-file", "unreadable", "not-dicom", "not-ct" or
    "bad-header".
    """
    try:
        with path.open("rb") as file, _quiet():
            place: list[int | None] = []

            def at_pixels(tag: int, vr: str | None, length: int) -> bool:
                if tag < PIXEL_DATA:
                    return False
                if tag == PIXEL_DATA:
                    place[:] = [8 if vr is None else 12, length]
                return True

            dataset = read_partial(file, at_pixels, defer_size=LARGE_VALUE, force=True)
            start = file.tell()
    except FileNotFoundError:
        raise UnusableSlice("missing-file", f"{path.name}: there is no such file.") from None
    except OSError as error:
        raise UnusableSlice("unreadable", f"{path.name}: {error.strerror}.") from None
    except Exception:  # pydicom raises whatever its first wrong byte leads to
        raise UnusableSlice("not-dicom", f"{path.name}: not a DICOM file.") from None
    _require_ct(path, dataset)
    try:
        return _header(path, dataset, start, place)
    except ValueError as error:
        raise UnusableSlice("bad-header", f"{path.name}: {error}.") from None


def read_slice_hu(path: Path) -> NDArray[np.float32]:
    """The slice of one file in HU, (rows, columns), as stored: padding stays. Raises UnusableSlice."""
    return decode_hu(read_header(path))


def decode_hu(header: SliceHeader) -> NDArray[np.float32]:
    """The slice in HU, (rows, columns): stored values by RescaleSlope and RescaleIntercept, any modality LUT ignored.

    Raises UnusableSlice where there is no such slice; a decoder's failure is one of its reasons.
    """
    slope, intercept = require_ct_pixels(header)
    layout = header.pixels
    stored = _native(header, layout.offset) if layout.offset is not None else _decoded(header)
    if stored.shape != (header.rows, header.columns):
        raise UnusableSlice(
            "wrong-shape", f"{header.path.name}: decodes to {stored.shape}, announces {(header.rows, header.columns)}."
        )
    return _in_hu(stored, layout, slope, intercept)


def require_ct_pixels(header: SliceHeader) -> tuple[float, float]:
    """RescaleSlope and RescaleIntercept of a file whose header announces one greyscale slice; raises UnusableSlice."""
    layout, name = header.pixels, header.path.name
    if layout.bytes is None or not header.rows * header.columns:
        raise UnusableSlice("no-pixels", f"{name}: holds no pixel data.")
    if layout.frames > 1:
        raise UnusableSlice("multi-frame", f"{name}: holds {layout.frames} frames; export it as single slices.")
    if layout.samples != 1:
        raise UnusableSlice("not-greyscale", f"{name}: holds {layout.samples} colours a pixel, no HU.")
    if layout.slope is None or layout.intercept is None:
        raise UnusableSlice("no-rescale", f"{name}: RescaleSlope or RescaleIntercept is missing, so HU are unknown.")
    return layout.slope, layout.intercept


def _in_hu(stored: NDArray[Any], layout: PixelLayout, slope: float, intercept: float) -> NDArray[np.float32]:
    """Rescaled values, after one known fault is mended.

    Some 12-bit scanners' files (RSNA 2019 holds many) were shifted by 1000 and wrapped at 4096, and announce an
    intercept near 0 on unsigned values, which no head in air can have.
    """
    if layout.bits_stored == 12 and not layout.signed and intercept > -100:
        stored = (stored.astype(np.int32) + 1000) % 4096
        intercept = -1000.0
    hu = stored.astype(np.float32)
    hu *= np.float32(slope)
    hu += np.float32(intercept)
    return hu


def _native(header: SliceHeader, offset: int) -> NDArray[Any]:
    """Uncompressed 16-bit little-endian pixels, straight from their place in the file."""
    layout = header.pixels
    count = header.rows * header.columns
    try:
        with header.path.open("rb") as file:
            file.seek(offset)
            data = file.read(min(2 * count, layout.bytes or 0))  # not into whatever follows short pixel data
    except OSError as error:
        raise UnusableSlice("unreadable", f"{header.path.name}: {error.strerror}.") from None
    if len(data) < 2 * count:
        raise UnusableSlice(
            "truncated", f"{header.path.name}: {len(data)} of {2 * count} bytes of pixels; export it again."
        )
    stored = np.frombuffer(data, "<i2" if layout.signed else "<u2").reshape(header.rows, header.columns)
    unused = 16 - layout.bits_stored
    return stored << unused >> unused if unused else stored  # unused high bits may hold anything (PS3.5 8.1.1)


def _decoded(header: SliceHeader) -> NDArray[Any]:
    """Pixels through pydicom and whichever plugin knows the transfer syntax."""
    try:
        with _quiet():
            return pydicom.dcmread(header.path, force=True).pixel_array
    except Exception as error:  # every decoder has its own errors
        syntax = pydicom.uid.UID(header.transfer_syntax).name or "no transfer syntax"
        raise UnusableSlice(
            "undecodable", f"{header.path.name}: {syntax} cannot be decoded ({type(error).__name__})."
        ) from None


def _require_ct(path: Path, dataset: pydicom.FileDataset) -> None:
    modality, uid = _text(dataset, 0x00080060), _text(dataset, 0x0020000D)
    if not modality and not uid:
        kind = "no image" if dataset.preamble else "not a DICOM file"
        raise UnusableSlice("not-ct" if dataset.preamble else "not-dicom", f"{path.name}: {kind}.")
    if modality != "CT":
        raise UnusableSlice("not-ct", f"{path.name}: modality {modality or 'unknown'}.")


def _header(path: Path, dataset: pydicom.FileDataset, start: int, place: list[int | None]) -> SliceHeader:
    uids = [_text(dataset, tag) for tag in (0x00080018, 0x0020000E, 0x0020000D)]
    if not all(uids):
        raise ValueError("SOP, series or study instance UID is missing")
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "") or "")
    instance = _numbers(dataset, 0x00200013, 1)
    thickness = _numbers(dataset, 0x00180050, 1)
    return SliceHeader(
        path=path,
        sop_uid=uids[0],
        series_uid=uids[1],
        study_uid=uids[2],
        patient_id=_text(dataset, 0x00100020),
        accession_number=_text(dataset, 0x00080050),
        modality=_text(dataset, 0x00080060),
        image_type=tuple(part.strip().upper() for part in _text(dataset, 0x00080008).split("\\")),
        description=_text(dataset, 0x0008103E),
        kernel=_text(dataset, 0x00181210),
        contrast_agent=_text(dataset, 0x00180010),
        thickness_mm=thickness[0] if thickness else None,
        instance_number=int(instance[0]) if instance else None,
        position_mm=_numbers(dataset, 0x00200032, 3),
        orientation=_numbers(dataset, 0x00200037, 6),
        spacing_mm=_numbers(dataset, 0x00280030, 2),
        rows=_ushort(dataset, 0x00280010),
        columns=_ushort(dataset, 0x00280011),
        transfer_syntax=syntax,
        pixels=_layout(dataset, syntax, start, place),
    )


def _layout(dataset: pydicom.FileDataset, syntax: str, start: int, place: list[int | None]) -> PixelLayout:
    slope, intercept = _numbers(dataset, 0x00281053, 1), _numbers(dataset, 0x00281052, 1)
    allocated, stored = _ushort(dataset, 0x00280100), _ushort(dataset, 0x00280101)
    header_bytes, length = place or (None, None)
    # A file without meta group names no syntax; pydicom has then found out how its values are written.
    little_endian = syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, "") and dataset.original_encoding[1]
    native = little_endian and length != UNDEFINED_LENGTH and allocated == 16 and 0 < stored <= 16
    return PixelLayout(
        bits_allocated=allocated,
        bits_stored=stored,
        signed=_ushort(dataset, 0x00280103) == 1,
        samples=_ushort(dataset, 0x00280002) or 1,
        frames=int(_text(dataset, 0x00280008) or 1),
        slope=slope[0] if slope else None,
        intercept=intercept[0] if intercept else None,
        offset=start + header_bytes if native and header_bytes is not None else None,
        bytes=length,
    )


def _text(dataset: pydicom.Dataset, tag: int) -> str:
    """The value as text; every repertoire a scanner may use has ASCII at its base."""
    value = _raw(dataset, tag)[0]
    return value.decode("latin-1").strip(" \0") if value else ""


def _numbers(dataset: pydicom.Dataset, tag: int, count: int) -> tuple[float, ...] | None:
    """`count` finite decimal numbers; None where they are missing, fewer, more or no numbers."""
    try:
        values = tuple(float(part) for part in _text(dataset, tag).split("\\"))
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def _ushort(dataset: pydicom.Dataset, tag: int) -> int:
    """A 16-bit number; 0 where it is missing."""
    value, little_endian = _raw(dataset, tag)
    return int.from_bytes(value[:2], "little" if little_endian else "big")


def _raw(dataset: pydicom.Dataset, tag: int) -> tuple[bytes, bool]:
    """Bytes of a value as the file holds them, and whether they are little-endian; empty where missing."""
    element: Any = dataset.get_item(tag, keep_deferred=True)
    value = getattr(element, "value", None)
    return (value, element.is_little_endian) if isinstance(value, bytes) else (b"", True)


@contextmanager
def _quiet() -> Iterator[None]:
    """pydicom warns of what it mends by itself; a hospital's log need not hear it for every slice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
