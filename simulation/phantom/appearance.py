"""How synthetic heads compare with real ones: HU and volume of bleedings, and noise, beside what was measured."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, uniform_filter  # type: ignore[attr-defined]  # filled at import

from bloodnet_model.labels import SUBTYPES
from simulation.phantom.head import DrawnStudy

PERCENTILES: Final = (1, 5, 25, 50, 75, 95, 99)
_LAG_MM: Final = 3.0  # beyond it, noise of neighbouring pixels is nearly independent, and anatomy has changed little


@dataclass(frozen=True)
class Appearance:
    """Of one study.

    blood_hu:  HU inside each kind of blood, its mask eroded by a pixel in plane
    volume_ml: of all blood
    noise_hu:  robust standard deviation in the brain
    """

    blood_hu: dict[str, NDArray[np.int16]]
    volume_ml: float
    noise_hu: float


def appearance(study: DrawnStudy) -> Appearance:
    """What a reader of the study with its truth would measure."""
    inner = np.zeros((1, 3, 3), bool)
    inner[0, 1], inner[0, :, 1] = True, True
    blood = {}
    for number, name in enumerate(SUBTYPES, start=1):
        mask = study.voxel_classes == number
        if mask.any():
            blood[name] = study.volume_hu[binary_erosion(mask, inner)]
    voxel_ml = study.spacing_mm[0] * study.spacing_mm[1] * study.slice_step_mm / 1000
    volume_ml = float((study.voxel_classes > 0).sum() * voxel_ml)
    return Appearance(blood, volume_ml, brain_noise_hu(study.volume_hu, study.spacing_mm[1]))


def brain_noise_hu(volume_hu: NDArray[np.int16], column_mm: float) -> float:
    """Robust standard deviation of the noise in the brain of (slices, rows, columns), NaN where there is none.

    From differences of two pixels of a row a few mm apart, both well inside tissue of 20 to 45 HU: anatomy cancels
    in most of them, and the rest is left out as lying beyond three robust standard deviations.
    """
    smooth = uniform_filter(volume_hu.astype(np.float32), (1, 9, 9))
    brain = binary_erosion((smooth > 20) & (smooth < 45), np.ones((1, 9, 9), bool))
    lag = max(1, round(_LAG_MM / column_mm))
    both = brain[:, :, lag:] & brain[:, :, :-lag]
    difference = volume_hu[:, :, lag:].astype(np.float32) - volume_hu[:, :, :-lag]
    found = difference[both]
    if not found.size:
        return float("nan")
    usual = found[np.abs(found) <= 3 * 1.4826 * np.median(np.abs(found))]
    return float(np.sqrt(np.mean(usual**2) / 2))


def percentiles_hu(parts: Iterable[NDArray[np.int16]]) -> tuple[float, ...]:
    """`PERCENTILES` of all the pixels of `parts`."""
    return tuple(float(value) for value in np.percentile(np.concatenate(list(parts)), PERCENTILES))
