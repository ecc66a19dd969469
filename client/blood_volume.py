"""How much blood a mask holds."""

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.settings import PreprocessingSettings


def blood_volume_ml(mask: NDArray[np.bool_], slice_mm: float, preprocessing: PreprocessingSettings) -> float | None:
    """Volume of a mask (slices, rows / 2, columns / 2): pixels, times their area, times the distance of the slices.

    None where the distance is unknown (NaN).
    """
    if not slice_mm > 0:
        return None
    pixel_mm2 = (2 * preprocessing.spacing_mm) ** 2
    return float(mask.sum() * pixel_mm2 * slice_mm / 1000)
