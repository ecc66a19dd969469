"""From HU to what the network sees: crop to the head in mm, resample in the plane, window. Pure functions of arrays.

The skull is never stripped: that can take extra-axial blood with it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label  # type: ignore[attr-defined]  # scipy fills this module at import

from bloodnet_model.labels import CLASSES
from bloodnet_model.settings import PreprocessingSettings

AIR_HU: Final = -1024.0
HIGHEST_HU: Final = 3071.0
"""Ends of the 12-bit CT scale. Padding lies below it (-2000, -3024), metal in extended scales above."""

BONE_HU: Final = 150.0
"""Brain, fresh blood and most head holders lie below this value, the skull above it."""

Centre = tuple[float, float]
"""(row, column) of a point in the plane, in pixels; pixel centres are the whole numbers."""


def prepare_volume(
    volume_hu: NDArray[np.floating],
    spacing_mm: tuple[float, float],
    settings: PreprocessingSettings,
    centre: Centre | None = None,
) -> NDArray[np.uint8]:
    """Head-centred, resampled and windowed slices.

    volume_hu:  (slices, rows, columns), any padding value
    spacing_mm: (between rows, between columns)
    centre:     what lands in the middle; `head_centre(volume_hu)` unless given
    returns:    (slices, windows, settings.rows, settings.columns); beyond the image lies air
    """
    by_row, by_column = _matrices(volume_hu.shape[1:], spacing_mm, centre or head_centre(volume_hu), settings)
    rows, columns = _support(by_row), _support(by_column)
    above_air = np.clip(volume_hu[:, rows, columns], AIR_HU, HIGHEST_HU, dtype=np.float32) - np.float32(AIR_HU)
    hu = by_row[:, rows] @ above_air @ by_column[:, columns].T + np.float32(AIR_HU)  # (slices, rows, columns)
    return np.stack([_windowed(hu, low, high) for low, high in settings.windows_hu], axis=1)


def prepare_mask(
    mask_bits: NDArray[np.uint8],
    spacing_mm: tuple[float, float],
    centre: Centre,
    settings: PreprocessingSettings,
) -> NDArray[np.uint8]:
    """The mask on the network's mask grid, half as fine as its images: a bit is set where it fills half a pixel.

    mask_bits: (slices, rows, columns), bit j for class j; `spacing_mm` and `centre` as for `prepare_volume`
    returns:   (slices, settings.rows // 2, settings.columns // 2)
    """
    by_row, by_column = (
        (matrix[0::2] + matrix[1::2]) / 2 for matrix in _matrices(mask_bits.shape[1:], spacing_mm, centre, settings)
    )
    prepared = np.zeros((len(mask_bits), settings.rows // 2, settings.columns // 2), np.uint8)
    present = np.bitwise_or.reduce(mask_bits, axis=(1, 2))  # (slices,); most hold no blood
    for index in np.flatnonzero(present):
        for bit in (bit for bit in range(len(CLASSES)) if present[index] >> bit & 1):
            share = by_row @ (mask_bits[index] >> bit & 1).astype(np.float32) @ by_column.T
            prepared[index] |= (share >= 0.5).astype(np.uint8) << bit
    return prepared


def head_centre(volume_hu: NDArray[np.floating]) -> Centre:
    """Middle of the skull's bounding box: the largest connected bright region of the projection over all slices.

    The projection closes the skull's gaps and ignores its shape; a head holder lies below bone, or apart from it.
    The middle of the image where nothing is as bright as bone.
    """
    bright = volume_hu.max(axis=0) > BONE_HU  # (rows, columns)
    regions, count = label(bright)
    if not count:
        return (bright.shape[0] - 1) / 2, (bright.shape[1] - 1) / 2
    largest = 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    rows, columns = find_objects(regions, max_label=largest)[largest - 1]
    return (rows.start + rows.stop - 1) / 2, (columns.start + columns.stop - 1) / 2


def resampling_matrix(
    n_in: int, spacing_in_mm: float, centre: float, n_out: int, spacing_out_mm: float
) -> NDArray[np.float32]:
    """Linear weights (n_out, n_in) that resample one axis about `centre`, which lands in the middle of the output.

    A triangle as wide as the coarser of the two grids, so that shrinking averages what it drops. A row sums to 1
    inside the image and to less where its triangle leaves the image: what lies there counts as 0.
    """
    scale = spacing_out_mm / spacing_in_mm
    width = max(1.0, scale)
    wanted = centre + (np.arange(n_out) - (n_out - 1) / 2) * scale  # in pixels of the input
    reach = int(np.ceil(width))
    # The input positions any triangle touches, inside the image or not, so that the edge does not bend the sum.
    first = np.floor(wanted).astype(np.int64) - reach
    taps = first[:, None] + np.arange(2 * reach + 2)  # (n_out, taps)
    weights = np.clip(1 - np.abs(taps - wanted[:, None]) / width, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((n_out, n_in), np.float32)
    row, tap = np.nonzero((weights > 0) & (taps >= 0) & (taps < n_in))
    matrix[row, taps[row, tap]] = weights[row, tap]
    return matrix


def _matrices(
    shape: tuple[int, ...], spacing_mm: tuple[float, float], centre: Centre, settings: PreprocessingSettings
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Resampling of the rows and of the columns onto the network's grid."""
    wanted = (settings.rows, settings.columns)
    by_row, by_column = (
        resampling_matrix(shape[axis], spacing_mm[axis], centre[axis], wanted[axis], settings.spacing_mm)
        for axis in (0, 1)
    )
    return by_row, by_column


def _support(matrix: NDArray[np.float32]) -> slice:
    """The span of the input that the output sees; the rest need not be clipped and multiplied."""
    seen = np.flatnonzero(matrix.any(axis=0))
    return slice(int(seen[0]), int(seen[-1]) + 1) if len(seen) else slice(0, 0)


def _windowed(hu: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """0 at `low` and below, 255 at `high` and above."""
    scaled = (hu - np.float32(low)) * np.float32(255 / (high - low))
    np.rint(scaled, out=scaled)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)
