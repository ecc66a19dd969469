"""A study's mask, laid onto its slices; what the labels say against it, and the slice labels that follow from it.

A mask is a NIfTI file (`mask_nifti`) or a DICOM SEG (`mask_seg`), whatever its name. One that does not say what kind
of blood it shows speaks of the study's single positive subtype, or of `any` alone where the labels do not name exactly
one. Pixels with bit `any` and no subtype's bit are blood of an unnamed kind.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import UnusableSlice
from bloodnet_model.labels import CLASSES, UNKNOWN
from client.archives import reading
from client.mask_grid import Drawing, UnusableMask
from client.slice_header import SliceHeader

__all__ = ["FEWEST_PIXELS", "UnusableMask", "check_mask", "disputed_slices", "labels_from_mask", "read_mask"]

FEWEST_PIXELS: Final = 4
"""Of a class on a slice, at the network's resolution, for the slice to count as positive; fewer are no evidence."""

LARGEST_BYTES: Final = 1 << 30
"""Of a mask file."""


def read_mask(path: Path, slices: Sequence[SliceHeader], study_labels: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Mask bits (slices, rows, columns) of the given slices as stored, bit j for class j.

    Raises UnusableMask: "mask-missing", "mask-unreadable", "mask-values", "mask-size", "mask-geometry".
    """
    content = _content(path)
    drawing = _drawing(content, path.name, slices)
    subtypes = np.flatnonzero(study_labels[1:] == 1) + 1
    if drawing.named or len(subtypes) != 1:
        return drawing.bits
    return drawing.bits * np.uint8(1 | 1 << subtypes[0])


def check_mask(bits: NDArray[np.uint8], study: NDArray[np.int8]) -> None:
    """Raises UnusableMask("mask-contradicts") where the study's labels (6,) cannot be true of its mask."""
    shown = _pixels(bits).sum(axis=0) > 0  # (6,)
    denied = np.flatnonzero(shown & (study == 0))
    if len(denied):
        name = CLASSES[int(denied[0])]
        raise UnusableMask("mask-contradicts", f"the mask shows {name} where the labels say there is none")
    if study[0] == 1 and not shown.any():
        raise UnusableMask("mask-contradicts", "the mask is empty and the labels say that there is a hemorrhage")


def labels_from_mask(bits: NDArray[np.uint8], prepared: NDArray[np.uint8], study: NDArray[np.int8]) -> NDArray[np.int8]:
    """Slice labels (slices, 6) that a mask tells.

    bits, prepared: mask bits of the slices at their own and at the network's resolution
    study:          int8 (6,); a class that it affirms and the mask never shows was not drawn, so is unknown
    """
    shown = _pixels(bits) > 0
    labels = np.where(_pixels(prepared) >= FEWEST_PIXELS, 1, np.where(shown, UNKNOWN, 0)).astype(np.int8)
    unnamed = (bits == 1).any(axis=(1, 2))  # blood of a kind that nobody named
    undrawn = (study == 1) & ~shown.any(axis=0)
    subtypes = np.arange(len(CLASSES)) > 0
    return np.where((labels == 0) & (undrawn | (unnamed[:, None] & subtypes)), UNKNOWN, labels).astype(np.int8)


def disputed_slices(bits: NDArray[np.uint8], given: NDArray[np.int8]) -> tuple[NDArray[np.bool_], str]:
    """Slices (slices,) on which the mask and the labels file cannot both be right, and the detail that says so.

    bits:  mask bits of the slices
    given: int8 (slices, 6), what the labels file says of them
    """
    shown = _pixels(bits) > 0  # (slices, 6)
    extra = shown[:, 0] & (given[:, 0] == 0)
    absent = ~shown[:, 0] & (given[:, 0] == 1)
    other = (shown & (given == 0)).any(axis=1) & ~extra
    parts = [
        (extra, "the mask shows blood on {} labelled negative"),
        (absent, "the labels say blood on {} whose mask is empty"),
        (other, "the mask shows another kind of blood than the labels on {}"),
    ]
    told = [text.format(_slices(int(where.sum()))) for where, text in parts if where.any()]
    return extra | absent | other, ", ".join(told)


def _slices(count: int) -> str:
    return "1 slice" if count == 1 else f"{count} slices"


def _content(path: Path) -> bytes:
    try:
        with reading(path) as file:
            content = file.read(LARGEST_BYTES + 1)
    except UnusableSlice as fault:
        reason = "mask-missing" if fault.reason == "missing-file" else "mask-unreadable"
        raise UnusableMask(reason, str(fault)) from None
    if len(content) > LARGEST_BYTES:
        raise UnusableMask("mask-unreadable", f"{path.name}: is larger than any mask")
    return content


def _drawing(content: bytes, name: str, slices: Sequence[SliceHeader]) -> Drawing:
    """By what the file holds; each reader brings a library that sites without such masks need not load."""
    if content[128:132] == b"DICM":
        from client.mask_seg import read_seg

        return read_seg(content, name, slices)
    from client.mask_nifti import read_nifti

    return read_nifti(content, name, slices)


def _pixels(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pixels of each class each slice has, (slices, 6)."""
    return np.stack([(bits & (1 << j) > 0).sum(axis=(1, 2)) for j in range(len(CLASSES))], axis=1)
