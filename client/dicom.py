"""DICOM files in, slice headers and slices in HU out: the door to everything below it.

`read_headers` walks over the first kilobytes of a file (`header_scan`) and leaves what it does not expect to pydicom
(`header_reference`); enhanced multi-frame files are taken apart by `multi_frame`. `decode_hu` is `decoding`'s.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import UnusableSlice
from client.archives import reading
from client.decoding import decode_hu
from client.elements import (
    ACCESSION_NUMBER,
    BITS_ALLOCATED,
    BITS_STORED,
    BURNED_IN,
    COLUMNS,
    CONTRAST_AGENT,
    FRAMES,
    IMAGE_TYPE,
    INSTANCE_NUMBER,
    INTERCEPT,
    KERNEL,
    MANUFACTURER,
    MEDIA_CLASS,
    MODALITY,
    MODEL,
    ORIENTATION,
    PADDING,
    PATIENT_ID,
    PIXEL_REPRESENTATION,
    POSITION,
    ROWS,
    SAMPLES,
    SERIES_DESCRIPTION,
    SERIES_UID,
    SLOPE,
    SOP_CLASS,
    SOP_UID,
    SPACING,
    STUDY_UID,
    THICKNESS,
    Elements,
)
from client.groups import scanner_group
from client.header_scan import Surprised, scan
from client.identity import is_identified
from client.slice_header import PixelLayout, SliceHeader, require_ct_pixels

__all__ = ["PixelLayout", "SliceHeader", "decode_hu", "read_headers", "read_slice_hu", "require_ct_pixels"]

_DIRECTORY_CLASS: Final = "1.2.840.10008.1.3.10"
_ENHANCED_CLASSES: Final = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
"""Enhanced CT Image Storage, and Legacy Converted Enhanced CT Image Storage."""


def read_headers(path: Path) -> tuple[SliceHeader, ...]:
    """The CT slices of one file, or of a zip's member, as their header announces them: one, or one a frame.

    Files without preamble or meta group are read all the same (old exports lose both), and accepted where they hold
    what identifies a CT. Raises UnusableSlice: "missing-file", "unreadable", "bad-archive", "not-dicom", "dicomdir",
    "not-ct", "bad-header", or what `multi_frame` finds wrong.
    """
    try:
        elements = _elements(path)
        _require_ct(path, elements)
        header = _header(path, elements)
    except ValueError as error:
        raise UnusableSlice("bad-header", f"{path.name}: {error}.") from None
    if header.pixels.frames == 1 and elements.text(SOP_CLASS) not in _ENHANCED_CLASSES:
        return (header,)
    from client.multi_frame import frames_of  # pydicom is imported only where it is needed

    return frames_of(header, elements.text(SOP_CLASS))


def read_slice_hu(path: Path) -> NDArray[np.float32]:
    """The slice of a single-frame file in HU, (rows, columns), as stored: padding stays. Raises UnusableSlice."""
    header, *more = read_headers(path)
    if more:
        raise UnusableSlice("wrong-shape", f"{path.name}: holds {len(more) + 1} frames, not one slice.")
    return decode_hu(header)


def _elements(path: Path) -> Elements:
    with reading(path) as file, suppress(Surprised):
        return scan(file)
    from client.header_reference import read_elements  # costs a worker process a quarter of a second

    with reading(path, checked=True) as file:
        try:
            return read_elements(file)
        except Exception:  # pydicom raises whatever its first wrong byte leads to
            raise UnusableSlice("not-dicom", f"{path.name}: not a DICOM file.") from None


def _require_ct(path: Path, elements: Elements) -> None:
    if elements.text(MEDIA_CLASS) == _DIRECTORY_CLASS:
        raise UnusableSlice("dicomdir", f"{path.name}: an index of other files.")
    modality = elements.text(MODALITY)
    if not modality and not elements.text(STUDY_UID):
        kind = "no image" if elements.part10 else "not a DICOM file"
        raise UnusableSlice("not-ct" if elements.part10 else "not-dicom", f"{path.name}: {kind}.")
    if modality != "CT":
        raise UnusableSlice("not-ct", f"{path.name}: modality {modality or 'unknown'}.")


def _header(path: Path, elements: Elements) -> SliceHeader:
    text, numbers = elements.text, elements.numbers
    sop_uid, series_uid, study_uid = text(SOP_UID), text(SERIES_UID), text(STUDY_UID)
    if not (sop_uid and series_uid and study_uid):
        raise ValueError("SOP, series or study instance UID is missing")
    instance_number = elements.number(INSTANCE_NUMBER)
    layout = _layout(elements)
    return SliceHeader(
        path=path,
        sop_uid=sop_uid,
        series_uid=series_uid,
        study_uid=study_uid,
        patient_id=text(PATIENT_ID),
        accession_number=text(ACCESSION_NUMBER),
        modality=text(MODALITY),
        image_type=tuple(part.strip().upper() for part in text(IMAGE_TYPE).split("\\")),
        description=text(SERIES_DESCRIPTION),
        kernel=text(KERNEL),
        contrast_agent=text(CONTRAST_AGENT),
        thickness_mm=elements.number(THICKNESS),
        instance_number=None if instance_number is None else int(instance_number),
        position_mm=numbers(POSITION, 3),
        orientation=numbers(ORIENTATION, 6),
        spacing_mm=numbers(SPACING, 2),
        rows=elements.ushort(ROWS),
        columns=elements.ushort(COLUMNS),
        transfer_syntax=elements.syntax,
        pixels=layout,
        padding=_padding(elements, layout),
        burned_in=text(BURNED_IN).upper() == "YES",
        identified=is_identified(elements),
        scanner=scanner_group(text(MANUFACTURER), text(MODEL)),
    )


def _layout(elements: Elements) -> PixelLayout:
    return PixelLayout(
        bits_allocated=elements.ushort(BITS_ALLOCATED),
        bits_stored=elements.ushort(BITS_STORED),
        signed=elements.ushort(PIXEL_REPRESENTATION) == 1,
        samples=elements.ushort(SAMPLES) or 1,
        frames=max(1, int(elements.text(FRAMES) or 1)),
        slope=elements.number(SLOPE),
        intercept=elements.number(INTERCEPT),
        offset=elements.pixels_at,
        bytes=elements.pixels_bytes,
    )


def _padding(elements: Elements, layout: PixelLayout) -> int | None:
    """The padding value as the pixels' own type reads its bits: 63536 under signed pixels means -2000."""
    bits = min(layout.bits_allocated, 16)
    if not elements.values.get(PADDING) or not bits:
        return None
    value = elements.ushort(PADDING) & ((1 << bits) - 1)
    return value - (1 << bits) if layout.signed and value >> (bits - 1) else value
