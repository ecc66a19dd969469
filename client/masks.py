"""A study's NIfTI mask, laid onto its DICOM slices by the affine, and the slice labels that follow from it.

Voxel values: 0 none, 1 epidural, 2 intraparenchymal, 3 intraventricular, 4 subarachnoid, 5 subdural. A mask of only
0 and 1 is taken for a binary one: its 1 is the study's single positive subtype, or `any` alone where the labels do
not name exactly one. Pixels with bit `any` and no subtype's bit are blood of an unnamed kind.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES, UNKNOWN
from client.dicom import SliceHeader
from client.geometry import orientation_of

TOLERANCE_MM: Final = 1.0
"""How far a mask's voxel may lie from the pixel it speaks of."""

FEWEST_PIXELS: Final = 4
"""Of a class on a slice, at the network's resolution, for the slice to count as positive; fewer are no evidence."""

_LPS_TO_RAS: Final = np.array([-1.0, -1.0, 1.0])
_BITS: Final = np.array([0, *(1 | 1 << code for code in range(1, len(CLASSES)))], np.uint8)


class UnusableMask(DataError):
    """A mask cannot be laid onto its study; `reason` is a key of `client.ledger.REASONS`."""

    code = "unusable-mask"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_mask(path: Path, slices: Sequence[SliceHeader], study_labels: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Mask bits (slices, rows, columns) of the given slices as stored, bit j for class j.

    Axes may be permuted and flipped against the DICOM; beyond that, grids must agree to 1 mm. Raises UnusableMask:
    "mask-missing", "mask-unreadable", "mask-values", "mask-size", "mask-geometry".
    """
    codes, affine = _load(path)
    aligned = _aligned(codes, affine, slices, path.name)
    if codes.max(initial=0) > 1:
        return _BITS[aligned]
    subtypes = np.flatnonzero(study_labels[1:] == 1) + 1
    return aligned * _BITS[subtypes[0]] if len(subtypes) == 1 else aligned


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


def _pixels(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pixels of each class each slice has, (slices, 6)."""
    return np.stack([(bits & (1 << j) > 0).sum(axis=(1, 2)) for j in range(len(CLASSES))], axis=1)


def _load(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Class codes (i, j, k) and the affine from voxel to RAS mm."""
    import nibabel  # a fifth of a second that sites without masks need not spend

    try:
        image: Any = nibabel.load(path)
        values = np.asarray(image.dataobj)
        affine = np.asarray(image.affine, np.float64)
    except FileNotFoundError:
        raise UnusableMask("mask-missing", f"{path.name}: there is no such file") from None
    except Exception as error:  # nibabel, gzip and zlib each raise their own
        raise UnusableMask("mask-unreadable", f"{path.name}: {type(error).__name__}") from None
    if values.ndim < 3 or values.size != np.prod(values.shape[:3]):  # a fourth axis of length 1 is common
        raise UnusableMask("mask-size", f"{path.name}: has {values.ndim} axes, not 3")
    if not np.isin(values, np.arange(len(CLASSES))).all():
        raise UnusableMask("mask-values", f"{path.name}: holds other values than 0 to {len(CLASSES) - 1}")
    return values.reshape(values.shape[:3]).astype(np.uint8), affine


def _aligned(
    codes: NDArray[np.uint8], affine: NDArray[np.float64], slices: Sequence[SliceHeader], name: str
) -> NDArray[np.uint8]:
    """The codes on the pixels of the slices, (slices, rows, columns)."""
    rows, columns = slices[0].rows, slices[0].columns
    corners = _corners_ras(slices)  # (slices, 4, 3)
    if corners is None or abs(np.linalg.det(affine)) < 1e-9:
        raise UnusableMask("mask-geometry", f"{name}: the mask or the slices have no position")
    inverse = np.linalg.inv(affine)
    exact = corners @ inverse[:3, :3].T + inverse[:3, 3]  # (slices, 4, 3) in voxels
    voxels = np.rint(exact).astype(np.int64)
    down, across = (int(np.argmax(np.abs(exact[0, corner] - exact[0, 0]))) for corner in (1, 2))
    through = 3 - down - across
    if down == across or codes.shape[down] != rows or codes.shape[across] != columns:
        raise UnusableMask("mask-size", f"{name}: {codes.shape} voxels for slices of {rows} x {columns}")
    level = voxels[:, :1, through]  # (slices, 1): every corner of a slice lies in one plane of the mask
    if np.abs((voxels - exact) @ affine[:3, :3].T).max() > TOLERANCE_MM or (voxels[:, :, through] != level).any():
        raise UnusableMask("mask-geometry", f"{name}: the mask lies elsewhere than the slices")
    if (voxels < 0).any() or (voxels >= codes.shape).any():
        raise UnusableMask("mask-size", f"{name}: the mask does not cover the slices")
    if len(np.unique(level)) < len(slices):
        raise UnusableMask("mask-geometry", f"{name}: two slices fall into one of the mask")
    planes: NDArray[np.uint8] = codes.transpose(through, down, across)[level[:, 0]]
    flips = (slice(None, None, -1 if voxels[0, corner, axis] == 0 else 1) for corner, axis in ((1, down), (2, across)))
    turned: NDArray[np.uint8] = planes[(slice(None), *flips)]
    return turned


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
    return np.asarray(corners * _LPS_TO_RAS)
