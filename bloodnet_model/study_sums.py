"""What one study adds to the sums that say how good the masks are."""

import math
from typing import Final

import numpy as np

from bloodnet_model.prediction import Prediction, dice
from bloodnet_model.segmentation_sums import SegmentationSums
from bloodnet_model.study import Study

_ANY_BIT: Final = 1


def study_sums(prediction: Prediction, study: Study, spacing_mm: float, threshold: float | None) -> SegmentationSums:
    """Dice where blood is drawn, volumes, and whether score and mask agree on there being any.

    spacing_mm: of the prepared grid, whose masks have half its resolution
    threshold:  from which score on the study is called positive; None asks nothing of that

    Volumes need the distance of the slices; a study whose distance is unknown adds none.
    """
    counts: dict[str, int] = {}
    overlap = dice(prediction.mask, study)
    if overlap is not None:
        counts |= {"dice_millionths": round(overlap * 1_000_000), "dice_studies": 1}
    voxel_ul = (2 * spacing_mm) ** 2 * study.slice_mm  # a cubic millimetre is a microlitre
    if math.isfinite(voxel_ul):
        outlined_ul = round(int(prediction.mask.sum()) * voxel_ul)
        if study.study_labels[0] == 0:
            counts |= {"false_positive_ul": outlined_ul, "negatives": 1}
        if overlap is not None:
            drawn = int(np.count_nonzero(np.asarray(study.mask_bits) & _ANY_BIT))
            difference_ul = outlined_ul - round(drawn * voxel_ul)
            counts |= {"difference_ul": difference_ul, "difference_squares_ul2": difference_ul**2, "volumes": 1}
    if threshold is not None:
        called, outlined = bool(prediction.probabilities[0] >= threshold), bool(prediction.mask.any())
        counts |= {"called": int(called), "called_without_mask": int(called and not outlined)}
        counts |= {"not_called": int(not called), "mask_without_call": int(outlined and not called)}
    return SegmentationSums(**counts)
