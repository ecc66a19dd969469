"""The slices of one series as one volume in HU, in the standard axial display."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import UnusableSlice
from client.dicom import decode_hu
from client.geometry import STANDARD_AXIAL, Display, orientation_of
from client.slice_header import SliceHeader

AIR_HU: Final = -1000.0
BRIGHTEST_TISSUE_HU: Final = 3000.0
"""Enamel; what a scanner paints around its picture in its brightest value is no tissue."""


@dataclass(frozen=True)
class Volume:
    """What could be read of a series.

    A tilted gantry's slices stay as they were taken: the table moves along the patient's long axis, so the head keeps
    its place from slice to slice although the stack is sheared (some 3 mm a centimetre at 18 degrees).

    hu:         float32 (slices, rows, columns), from inferior to superior, rows to posterior, columns to the left
    spacing_mm: (between rows, between columns)
    display:    how the stored slices were turned
    headers:    of the slices in `hu`, in their order
    failures:   what could not be read, with the reason; never replaced by zeros
    """

    hu: NDArray[np.float32]
    spacing_mm: tuple[float, float]
    display: Display
    headers: tuple[SliceHeader, ...]
    failures: tuple[tuple[SliceHeader, UnusableSlice], ...]


def read_volume(slices: Sequence[SliceHeader]) -> Volume:
    """Decode the slices of one series, which `select_series` has put in order; at least one."""
    first = slices[0]
    stored_hu = np.empty((len(slices), first.rows, first.columns), np.float32)
    headers: list[SliceHeader] = []
    failures: list[tuple[SliceHeader, UnusableSlice]] = []
    for header in slices:
        try:
            stored_hu[len(headers)] = _without_padding(decode_hu(header), header)
            headers.append(header)
        except UnusableSlice as failure:
            failures.append((header, failure))
    display = Display.of(orientation_of(first) or STANDARD_AXIAL)
    hu = display.apply(stored_hu[: len(headers)])
    return Volume(hu, display.spacing(first.spacing_mm or (1.0, 1.0)), display, tuple(headers), tuple(failures))


def _without_padding(hu: NDArray[np.float32], header: SliceHeader) -> NDArray[np.float32]:
    """Padding (PS3.3 C.7.5.1.1.2) that is as bright as no tissue becomes air, or it would pass for bone.

    Dark padding is left as it is: windows end above air.
    """
    layout = header.pixels
    if header.padding is not None and layout.slope is not None and layout.intercept is not None:
        padding_hu = header.padding * layout.slope + layout.intercept
        if padding_hu >= BRIGHTEST_TISSUE_HU:
            hu[hu == np.float32(padding_hu)] = AIR_HU
    return hu
