"""Where the pixels of one series lie: in the plane, in the patient (DICOM, LPS) and in NIfTI's RAS.

A gantry that tilts leans every slice while the table still moves along its own axis, so the slices of a tilted
series are sheared: the step between image positions is not along their normal (DICOM PS3.3 C.7.6.2).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.phantom.fields import FieldGrid, Plane, Point

_HALF_EXTENT_MM = (110.0, 92.0)  # half height and half width of the crop that holds every head


@dataclass(frozen=True)
class SliceStack:
    """One axial series of square images, from the lowest slice up."""

    slices: int
    matrix: int  # rows and columns of a slice
    pixel_mm: float
    slice_step_mm: float  # between neighbours, along their normal
    thickness_mm: float
    tilt_degrees: float

    @property
    def tilt(self) -> float:
        """Radians."""
        return math.radians(self.tilt_degrees)

    @property
    def table_step_mm(self) -> float:
        return self.slice_step_mm / math.cos(self.tilt)

    @property
    def rows(self) -> slice:
        """Rows that can hold any of the head."""
        return _centred(self.matrix, _HALF_EXTENT_MM[0] / self.pixel_mm)

    @property
    def columns(self) -> slice:
        return _centred(self.matrix, _HALF_EXTENT_MM[1] / self.pixel_mm)

    @property
    def from_centre_mm(self) -> NDArray[np.float64]:
        """Of pixel centres along a row, or down a column."""
        return (np.arange(self.matrix, dtype=np.float64) - (self.matrix - 1) / 2) * self.pixel_mm

    def plane_mm(self, rows: slice, columns: slice) -> tuple[Plane, Plane]:
        """(to the patient's left, to the front) of every pixel, in the plane and from its centre."""
        along = self.from_centre_mm.astype(np.float32)
        across, down = np.meshgrid(along[columns], along[rows])
        return across, -down

    @property
    def sub_slices(self) -> int:
        """Planes averaged into a slice: thick slices blur structures that run askew (partial volume)."""
        return 1 if self.thickness_mm <= 3 else 2 if self.thickness_mm <= 6 else 3

    @property
    def heights_mm(self) -> NDArray[np.float64]:
        """(slices, sub-slices): of every plane above the centre of the first slice, along the table."""
        within = (np.arange(self.sub_slices) - (self.sub_slices - 1) / 2) / self.sub_slices * self.thickness_mm
        return np.arange(self.slices)[:, None] * self.table_step_mm + within

    def field_grid(self) -> FieldGrid:
        along = self.from_centre_mm
        return FieldGrid(self.heights_mm.ravel(), along[self.rows], along[self.columns])

    @property
    def orientation(self) -> tuple[float, float, float, float, float, float]:
        """ImageOrientationPatient: rows run to the left; columns run to the back, downwards if the gantry is tilted."""
        return 1.0, 0.0, 0.0, 0.0, math.cos(self.tilt), -math.sin(self.tilt)

    def position_mm(self, index: int) -> Point:
        """ImagePositionPatient of one slice: the centre of its first pixel, in LPS."""
        corner = float(self.from_centre_mm[0])
        _, _, _, x, y, z = self.orientation
        return corner + corner * x, corner * y, corner * z + index * self.table_step_mm

    def affine_ras(self) -> NDArray[np.float64]:
        """(4, 4): from (column, row, slice) to NIfTI's right-anterior-superior mm."""
        orientation = np.array(self.orientation)
        first, second = np.array(self.position_mm(0)), np.array(self.position_mm(1))
        lps = np.eye(4)
        lps[:3] = np.stack(
            [orientation[:3] * self.pixel_mm, orientation[3:] * self.pixel_mm, second - first, first], axis=1
        )
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def _centred(matrix: int, half: float) -> slice:
    margin = max(0, matrix // 2 - math.ceil(half))
    return slice(margin, matrix - margin)
