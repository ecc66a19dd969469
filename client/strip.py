"""A study in one row of pictures, from inferior to superior, blood outlined in red."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion  # type: ignore[attr-defined]  # scipy fills this module at import

SLICES: Final = 8
_RED: Final = (230, 30, 40)


def strip(
    windows: NDArray[np.uint8], mask_bits: NDArray[np.uint8], chosen: NDArray[np.int64] | None = None
) -> NDArray[np.uint8]:
    """The first window of the chosen slices side by side, (rows, count * columns, 3); unless chosen, evenly spaced.

    windows:   (slices, windows, rows, columns), at least one slice; fewer than SLICES leave black places
               where none were chosen
    mask_bits: (slices, rows // 2, columns // 2)
    """
    evenly = np.unique(np.linspace(0, len(windows) - 1, SLICES).round().astype(int))
    shown = evenly if chosen is None else chosen
    rows, columns = windows.shape[2:]
    row = np.zeros((rows, (SLICES if chosen is None else len(chosen)) * columns, 3), np.uint8)
    for place, index in enumerate(shown):
        row[:, place * columns : (place + 1) * columns] = _outlined(windows[index, 0], mask_bits[index] > 0)
    return row


def _outlined(image: NDArray[np.uint8], blood: NDArray[np.bool_]) -> NDArray[np.uint8]:
    coloured = np.repeat(image[..., None], 3, axis=2)
    fine = blood.repeat(2, axis=0).repeat(2, axis=1)
    coloured[fine & ~binary_erosion(fine)] = _RED
    return coloured
