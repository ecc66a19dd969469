"""The elements of any file that pydicom can read: the way for whatever the fast walker leaves, and its reference."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

from pydicom import Dataset, FileDataset
from pydicom.filereader import read_partial
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from client.elements import LARGEST_VALUE_BYTES, MEDIA_CLASS, PIXEL_DATA, WANTED, Elements

_NATIVE: Final = ("", ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)


def read_elements(file: BinaryIO) -> Elements:
    """Elements up to PixelData; the file need not begin as PS3.10 says. Raises whatever pydicom raises."""
    found: list[tuple[str | None, int]] = []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag == PIXEL_DATA:
            found.append((vr, length))
        return tag >= PIXEL_DATA

    with quiet():
        dataset = read_partial(file, at_pixels, defer_size=LARGEST_VALUE_BYTES, force=True)
        values = {tag: value for tag in WANTED if (value := _value(dataset, tag)) is not None}
        media_class: Any = dataset.file_meta.get_item(MEDIA_CLASS)
        if isinstance(getattr(media_class, "value", None), bytes):
            values[MEDIA_CLASS] = media_class.value.strip(b" \0")
        declared = str(dataset.file_meta.get("TransferSyntaxUID") or "").strip(" \0")
        little_endian = dataset.original_encoding[1]
    part10 = dataset.preamble is not None
    if not found:
        return Elements(values, declared, part10, None, None)
    vr, length = found[-1]
    syntax = declared if declared not in _NATIVE else _written(vr is None, bool(little_endian))
    at = file.tell() + (12 if vr in EXPLICIT_VR_LENGTH_32 else 8)
    return Elements(values, syntax, part10, None if syntax == DeflatedExplicitVRLittleEndian else at, length)


def read_dataset(file: BinaryIO) -> FileDataset:
    """All elements before the pixels, sequences among them. Raises whatever pydicom raises."""
    with quiet():
        return read_partial(file, lambda tag, vr, length: tag >= PIXEL_DATA, force=True)


@contextmanager
def quiet() -> Iterator[None]:
    """pydicom warns and logs what it mends, and quotes the values: no log of a hospital should hold them."""
    logger = logging.getLogger("pydicom")
    usual, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = usual


def _written(implicit: bool, little_endian: bool) -> str:
    if not little_endian:
        return str(ExplicitVRBigEndian)
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)


def _value(dataset: Dataset, tag: int) -> bytes | None:
    """The value as a little-endian file with the right value representation would hold it; None where missing."""
    element: Any = dataset.get_item(tag, keep_deferred=True)
    if element is None:
        return None
    value, accepted = element.value, WANTED[tag]
    if not isinstance(value, bytes):
        return b""
    is_number = b"US" in accepted
    if element.VR is None or element.VR.encode("latin-1") in accepted:
        return value[1::-1] if is_number and not element.is_little_endian else value
    try:
        converted = dataset[tag].value
        return int(converted).to_bytes(2, "little", signed=converted < 0) if is_number else _spelled(converted)
    except Exception:  # a value that is none of its kind either
        return b""


def _spelled(value: Any) -> bytes:
    parts = value if isinstance(value, list | tuple) else [value]
    return "\\".join(map(str, parts)).encode("latin-1", "replace")
