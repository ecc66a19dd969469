"""Where the voxels of a mask lie among the pixels of DICOM slices; what is said of a mask that lies elsewhere."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError
from client.geometry import orientation_of
from client.slice_header import SliceHeader

TOLERANCE_MM: Final = 1.0
"""How far a mask's voxel may lie from the pixel it speaks of."""

LPS_TO_RAS: Final = np.array([-1.0, -1.0, 1.0])
_FARTHEST_VOXEL: Final = 1e6


class UnusableMask(DataError):
    """A mask cannot be laid onto its study; `reason` is a key of `bloodnet_model.reasons.REASONS`."""

    code = "unusable-mask"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Drawing(NamedTuple):
    """What a mask file shows on the slices.

    bits:  uint8 (slices, rows, columns), bit j for class j
    named: whether the file says what kind of blood it shows
    """

    bits: NDArray[np.uint8]
    named: bool


def aligned(
    voxels: NDArray[np.uint8], affine: NDArray[np.float64], slices: Sequence[SliceHeader], name: str
) -> NDArray[np.uint8]:
    """Values (i, j, k) on the pixels of the slices, (slices, rows, columns); `affine` leads from voxel to RAS mm.

    Axes may be permuted and flipped; beyond that, the grids must agree to 1 mm. Raises UnusableMask: "mask-size",
    "mask-geometry".
    """
    exact = _corners_in_voxels(affine, slices)  # (slices, 4, 3)
    if exact is None:
        raise UnusableMask("mask-geometry", f"{name}: the mask or the slices have no position")
    nearest = np.rint(exact).astype(np.int64)
    down, across = (int(np.argmax(np.abs(exact[0, corner] - exact[0, 0]))) for corner in (1, 2))
    through = 3 - down - across
    rows, columns = slices[0].rows, slices[0].columns
    if down == across or voxels.shape[down] != rows or voxels.shape[across] != columns:
        size = " x ".join(map(str, voxels.shape))
        raise UnusableMask("mask-size", f"{name}: {size} voxels for slices of {rows} x {columns}")
    level = nearest[:, :1, through]  # (slices, 1): every corner of a slice lies in one plane of the mask
    if np.abs((nearest - exact) @ affine[:3, :3].T).max() > TOLERANCE_MM or (nearest[:, :, through] != level).any():
        raise UnusableMask("mask-geometry", f"{name}: the mask lies elsewhere than the slices")
    if (nearest < 0).any() or (nearest >= voxels.shape).any():
        raise UnusableMask("mask-size", f"{name}: the mask does not cover the slices")
    if len(np.unique(level)) < len(slices):
        raise UnusableMask("mask-geometry", f"{name}: two slices fall into one of the mask")
    planes: NDArray[np.uint8] = voxels.transpose(through, down, across)[level[:, 0]]
    flips = (slice(None, None, -1 if nearest[0, corner, axis] == 0 else 1) for corner, axis in ((1, down), (2, across)))
    turned: NDArray[np.uint8] = planes[(slice(None), *flips)]
    return turned


def _corners_in_voxels(affine: NDArray[np.float64], slices: Sequence[SliceHeader]) -> NDArray[np.float64] | None:
    """Where the corners of each slice lie among the voxels, (slices, 4, 3); None where nobody can say."""
    corners = _corners_ras(slices)
    if corners is None or not np.isfinite(affine).all():
        return None
    with np.errstate(all="ignore"):
        if not abs(np.linalg.det(affine)) > 1e-9:
            return None
        inverse = np.linalg.inv(affine)
        exact: NDArray[np.float64] = corners @ inverse[:3, :3].T + inverse[:3, 3]
        return exact if (np.abs(exact) < _FARTHEST_VOXEL).all() else None


def _corners_ras(slices: Sequence[SliceHeader]) -> NDArray[np.float64] | None:
    """RAS mm of each slice's first pixel, the last of its first column, the last of its first row, and its last pixel.

    (slices, 4, 3), by the pixel-to-patient equation of PS3.3 C.7.6.2.1.1; None where a slice has no position.
    """
    first = slices[0]
    orientation, spacing = orientation_of(first), first.spacing_mm
    if orientation is None or spacing is None or any(header.position_mm is None for header in slices):
        return None
    down = np.array(orientation[3:]) * spacing[0] * (first.rows - 1)
    across = np.array(orientation[:3]) * spacing[1] * (first.columns - 1)
    origins = np.array([header.position_mm for header in slices], np.float64)
    corners = origins[:, None] + np.stack([0 * down, down, across, down + across])
    return np.asarray(corners * LPS_TO_RAS)
