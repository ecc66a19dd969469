"""Precision and recall from summed counts: of the flagged, how many bleed; of those who bleed, how many are flagged.

Unlike the AUC, precision depends on how common hemorrhage is among the counted patients: figures of two data sets
with other shares of positives cannot be compared.
"""

import math

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import UndefinedMetric
from bloodnet_model.score_histogram import ScoreHistogram, normal_quantile


def precision_recall_curve(histogram: ScoreHistogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision, each (k,), from the strictest threshold that flags anybody down to flagging everybody.

    Recall starts at 0, with the precision of the strictest threshold; drawn as steps that rise to the right, the area
    is the average precision. Raises UndefinedMetric unless both classes are there.
    """
    _require_both(histogram)
    true_positives, flagged = _flagged(histogram)
    recall, precision = true_positives / histogram.positive_count, true_positives / flagged
    return np.concatenate([[0.0], recall]), np.concatenate([precision[:1], precision])


def average_precision(histogram: ScoreHistogram) -> float:
    """Area under the steps of the precision-recall curve of the binned scores, as in scikit-learn.

    Raises UndefinedMetric unless both classes are there.
    """
    _require_both(histogram)
    true_positives, flagged = _flagged(histogram)
    newly = np.diff(true_positives, prepend=0)
    return float((newly * (true_positives / flagged)).sum()) / histogram.positive_count


def average_precision_interval(histogram: ScoreHistogram, level: float = 0.95) -> tuple[float, float]:
    """Interval on the logit scale with as many patients as there are positives (Boyd, Eng and Page, ECML 2013).

    Raises UndefinedMetric where the average precision is 1 (perfect separation): it would claim certainty.
    """
    average, positives = average_precision(histogram), histogram.positive_count
    if average >= 1:
        raise UndefinedMetric("the interval is undefined: the classes are perfectly separated.")
    middle = math.log(average / (1 - average))
    reach = normal_quantile(level) / math.sqrt(positives * average * (1 - average))
    return 1 / (1 + math.exp(reach - middle)), 1 / (1 + math.exp(-reach - middle))


def _flagged(histogram: ScoreHistogram) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives among the flagged and all flagged, each (k,), at the falling thresholds that flag somebody more."""
    positives, studies = histogram.positives[::-1], (histogram.positives + histogram.negatives)[::-1]
    occupied = studies > 0
    return np.cumsum(positives)[occupied], np.cumsum(studies)[occupied]


def _require_both(histogram: ScoreHistogram) -> None:
    for count, name in ((histogram.positive_count, "positive"), (histogram.negative_count, "negative")):
        if not count:
            raise UndefinedMetric(f"the precision-recall curve is undefined: no {name} study.")
