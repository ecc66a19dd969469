"""From which score on a study is flagged: chosen for a sensitivity, on patients that nobody trained on."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram, bin_edges

USUAL_SENSITIVITY: Final = 0.95


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """None where there is nobody to count."""
        return self.count / self.of if self.of else None

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Wilson's score interval (J. Am. Stat. Assoc. 1927), which also holds for few patients and near 0 and 1."""
        if not self.of:
            raise UndefinedMetric("the interval is undefined: there is nobody to count.")
        z, n, share = NormalDist().inv_cdf((1 + level) / 2), self.of, self.count / self.of
        middle = share + z * z / (2 * n)
        reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


@dataclass(frozen=True)
class Rates:
    """What a threshold does: of the patients with hemorrhage, who is flagged; of those without, who is not."""

    sensitivity: Share
    specificity: Share


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, the sensitivity it was chosen for, and what it does to the patients it was chosen on.

    A study is flagged whose score is the threshold or more; the threshold is an edge of the score histogram's bins.
    """

    threshold: float
    wanted: float
    rates: Rates


def operating_point(histogram: ScoreHistogram, sensitivity: float) -> OperatingPoint:
    """The highest threshold at which at least this share of the positives is flagged.

    Raises UndefinedMetric where nobody in `histogram` is positive, and DataError for a share outside (0, 1].
    """
    if not 0 < sensitivity <= 1:
        raise DataError(f"--sensitivity {sensitivity:g}: is no share of patients; give one above 0 and up to 1.")
    if not histogram.positive_count:
        raise UndefinedMetric(f"the threshold is undefined: no positive study among {histogram.studies}.")
    flagged = np.cumsum(histogram.positives[::-1])[::-1]  # (bins,): positives in this bin or above
    enough = flagged >= sensitivity * histogram.positive_count - 1e-9  # 0.95 * 20 is 19 to a person
    threshold = float(bin_edges(histogram.bins)[np.flatnonzero(enough)[-1]])
    return OperatingPoint(threshold, sensitivity, rates_at(histogram, threshold))


def rates_at(histogram: ScoreHistogram, threshold: float) -> Rates:
    """Rates at a threshold that is an edge of the histogram's bins."""
    above = bin_edges(histogram.bins)[:-1] >= threshold  # (bins,): all of the bin is flagged
    return Rates(
        Share(int(histogram.positives[above].sum()), histogram.positive_count),
        Share(int(histogram.negatives[~above].sum()), histogram.negative_count),
    )
