"""How far scores are probabilities, from a score histogram alone, and how to make them so.

The middle of its bin stands for a score. On 1,024 bins no score is more than 0.001 from it, so the Brier score is off
by at most 0.002, and the mean score of a row by 0.001; for counts known by block alone it is 0.062 instead of 0.001.

`told` (bins,) is the probability that each bin's patients are told: the bins' middles, or what `recalibrated` makes
of them. All functions raise UndefinedMetric where there is no study.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.score_bins import bin_midpoints
from bloodnet_model.score_histogram import ScoreHistogram

Told = NDArray[np.float64]

RELIABILITY_BINS: Final = 10

_STEPS: Final = 100
_CONVERGED: Final = 1e-10


@dataclass(frozen=True)
class ReliabilityRow:
    """Studies told a probability from `low` to `high`: how many they are, how many bled, and what they were told."""

    low: float
    high: float
    studies: int
    positives: int
    mean_score: float


def reliability(
    histogram: ScoreHistogram, told: Told | None = None, bins: int = RELIABILITY_BINS
) -> list[ReliabilityRow]:
    """The reliability table on equally wide bins of the probability told; bins of nobody are left out."""
    probability, studies = _told(histogram, told), histogram.positives + histogram.negatives
    row = np.minimum((probability * bins).astype(np.int64), bins - 1)
    of_row, positives = (np.bincount(row, counts, bins) for counts in (studies, histogram.positives))
    sums = np.bincount(row, studies * probability, bins)
    return [
        ReliabilityRow(i / bins, (i + 1) / bins, int(of_row[i]), int(positives[i]), float(sums[i] / of_row[i]))
        for i in np.flatnonzero(of_row)
    ]


def brier_score(histogram: ScoreHistogram, told: Told | None = None) -> float:
    """Mean squared distance of what patients were told from what they had (Brier, Mon. Weather Rev. 1950)."""
    probability = _told(histogram, told)
    squares = histogram.positives * (1 - probability) ** 2 + histogram.negatives * probability**2
    return float(squares.sum()) / histogram.studies


def expected_error(histogram: ScoreHistogram, told: Told | None = None, bins: int = RELIABILITY_BINS) -> float:
    """Expected calibration error: how far the rows of `reliability` are off, weighted by their studies.

    Naeini, Cooper and Hauskrecht, AAAI 2015, for two classes.
    """
    rows = reliability(histogram, told, bins)
    return sum(abs(row.positives - row.studies * row.mean_score) for row in rows) / histogram.studies


def calibration_record(histogram: ScoreHistogram, told: Told | None = None) -> dict[str, Any]:
    """The fields of `run_metrics.CalibrationRecord`, fit for JSON."""
    return {
        "brier": brier_score(histogram, told),
        "expected_error": expected_error(histogram, told),
        "bins": [asdict(row) for row in reliability(histogram, told)],
    }


def fit(histogram: ScoreHistogram) -> tuple[float, float]:
    """Temperature and bias: probability = sigmoid(logit of the score / temperature + bias).

    They have the highest likelihood (Platt 1999, with Guo et al.'s temperature, ICML 2017), by Newton's method.

    Raises UndefinedMetric where a class is missing, a score separates the classes or all scores are in one bin, so
    that no highest likelihood exists, or where higher scores do not mean more hemorrhage.
    """
    _require_overlap(histogram)
    logits = _logit(bin_midpoints(histogram.bins))
    slope, bias = _maximum_likelihood(logits, histogram.positives, histogram.positives + histogram.negatives)
    if slope <= 0:
        raise UndefinedMetric("the temperature is undefined: higher scores do not mean more hemorrhage here.")
    return 1 / slope, bias


def recalibrated(histogram: ScoreHistogram, temperature: float, bias: float) -> Told:
    """What the patients of each bin (bins,) are told after recalibration with what was fitted on others."""
    return _sigmoid(_logit(bin_midpoints(histogram.bins)) / temperature + bias)


def _maximum_likelihood(
    logits: NDArray[np.float64], positives: NDArray[np.int64], studies: NDArray[np.int64]
) -> tuple[float, float]:
    """Slope and bias of the logistic regression of counts on logits, all (bins,).

    A step that does not raise the likelihood is halved: far from the maximum Newton's method overshoots.
    """
    design = np.stack([logits, np.ones_like(logits)])  # (2, bins)
    weights, likelihood = np.zeros(2), _log_likelihood(np.zeros_like(logits), positives, studies)
    for _ in range(_STEPS):
        probability = _sigmoid(weights @ design)
        gradient = design @ (positives - studies * probability)
        curvature = (design * (studies * probability * (1 - probability))) @ design.T
        step = np.linalg.solve(curvature, gradient)
        while (raised := _log_likelihood((weights + step) @ design, positives, studies)) < likelihood:
            step = step / 2
        weights, likelihood = weights + step, raised
        if float(np.abs(step).max()) < _CONVERGED:
            break
    return float(weights[0]), float(weights[1])


def _log_likelihood(logits: NDArray[np.float64], positives: NDArray[np.int64], studies: NDArray[np.int64]) -> float:
    return float((positives * logits - studies * np.logaddexp(0, logits)).sum())


def _require_overlap(histogram: ScoreHistogram) -> None:
    """Raise UndefinedMetric unless some positive scores below a negative, and some above one."""
    for count, name in ((histogram.positive_count, "positive"), (histogram.negative_count, "negative")):
        if not count:
            raise UndefinedMetric(f"the temperature is undefined: no {name} study among {histogram.studies}.")
    positives, negatives = np.flatnonzero(histogram.positives), np.flatnonzero(histogram.negatives)
    if positives[0] >= negatives[-1] or negatives[0] >= positives[-1]:
        raise UndefinedMetric("the temperature is undefined: a score separates the classes, or all scores are tied.")


def _told(histogram: ScoreHistogram, told: Told | None) -> Told:
    if not histogram.studies:
        raise UndefinedMetric("the calibration is undefined: there is no study.")
    probability = bin_midpoints(histogram.bins) if told is None else told
    if probability.size != histogram.bins:
        raise DataError(f"calibration: {probability.size} probabilities for {histogram.bins} bins; give one a bin.")
    return probability


def _logit(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(scores / (1 - scores))


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0, -logits))
