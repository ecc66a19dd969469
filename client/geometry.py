"""How a slice lies in the patient: LPS coordinates (x to the left, y to posterior, z to superior; PS3.3 C.7.6.2)."""

import math
from dataclasses import dataclass
from typing import Any, Final, Self

from numpy.typing import NDArray

from client.slice_header import SliceHeader

STANDARD_AXIAL: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Orientation of the usual display: columns run to the patient's left, rows to posterior."""


def orientation_of(header: SliceHeader) -> tuple[float, ...] | None:
    """ImageOrientationPatient; the standard one for a file that knows no geometry but says that it is axial."""
    if header.orientation is None and header.position_mm is None and "AXIAL" in header.image_type:
        return STANDARD_AXIAL
    return header.orientation


def normal(orientation: tuple[float, ...]) -> tuple[float, float, float]:
    """Unit vector across the plane, on the side of the patient's head; zeros for a degenerate orientation.

    In plain floats: it is asked for every slice, and an array of three costs thirty times the arithmetic.
    """
    ax, ay, az, bx, by, bz = orientation
    x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    length = math.copysign(math.hypot(x, y, z) or 1.0, z)
    return x / length, y / length, z / length


def degrees_from_axial(orientation: tuple[float, ...]) -> float:
    """Angle between the plane's normal and the patient's long axis, 0 to 90."""
    return math.degrees(math.acos(min(1.0, normal(orientation)[2])))


def height_mm(header: SliceHeader, orientation: tuple[float, ...]) -> float | None:
    """Place of the slice along the normal, growing from inferior to superior; None where it has no position."""
    return None if header.position_mm is None else _dot(header.position_mm, normal(orientation))


def _dot(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@dataclass(frozen=True)
class Display:
    """What brings stored slices to the standard axial display: rows to posterior, columns to the patient's left."""

    transpose: bool
    flip_rows: bool
    flip_columns: bool

    @classmethod
    def of(cls, orientation: tuple[float, ...]) -> Self:
        along_row, along_column = orientation[:3], orientation[3:]
        transpose = abs(along_row[0]) < abs(along_row[1])
        if transpose:
            along_row, along_column = along_column, along_row
        return cls(transpose, flip_rows=along_column[1] < 0, flip_columns=along_row[0] < 0)

    def apply(self, stack: NDArray[Any]) -> NDArray[Any]:
        """A view of (slices, rows, columns) as displayed."""
        if self.transpose:
            stack = stack.swapaxes(1, 2)
        return stack[:, :: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def spacing(self, spacing_mm: tuple[float, ...]) -> tuple[float, float]:
        """(between rows, between columns) as displayed."""
        between_rows, between_columns = reversed(spacing_mm) if self.transpose else spacing_mm
        return between_rows, between_columns
