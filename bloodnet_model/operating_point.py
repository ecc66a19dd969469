"""From which score on a study is flagged: chosen for a target on patients that nobody trained on, then kept.

A threshold is an edge of the score histogram's bins, so that the counts say exactly what it does. Counts known by
block alone stand in the middle bin of their block: where the threshold cuts a block, its coarse counts are taken to
lie on the side of that bin, and the rates are off by as many studies as in truth lie on the other.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram, bin_edges

USUAL_SENSITIVITY: Final = 0.95

_ROUNDING: Final = 1e-9  # 0.95 * 20 is 19 to a person


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

    def as_record(self) -> dict[str, Any]:
        """Fit for JSON: the fields of `run_metrics.Proportion`."""
        low, high = self.interval() if self.of else (None, None)
        return {"count": self.count, "of": self.of, "value": self.value, "low": low, "high": high}


@dataclass(frozen=True)
class Rates:
    """What a threshold does: of the patients with hemorrhage, who is flagged; of those without, who is not."""

    sensitivity: Share
    specificity: Share

    @property
    def ppv(self) -> Share:
        """Of the flagged, who bleeds: the positive predictive value where hemorrhage is as common as here."""
        flagged_negatives = self.specificity.of - self.specificity.count
        return Share(self.sensitivity.count, self.sensitivity.count + flagged_negatives)

    @property
    def npv(self) -> Share:
        """Of those not flagged, who does not bleed: the negative predictive value where it is as common as here."""
        missed = self.sensitivity.of - self.sensitivity.count
        return Share(self.specificity.count, self.specificity.count + missed)

    def as_record(self) -> dict[str, Any]:
        """Fit for JSON: the fields of `run_metrics.RatesRecord`."""
        return {name: getattr(self, name).as_record() for name in ("sensitivity", "specificity", "ppv", "npv")}


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, the sensitivity or specificity it was chosen for, and what it does to the patients it was chosen on.

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
    enough = flagged >= sensitivity * histogram.positive_count - _ROUNDING
    threshold = float(bin_edges(histogram.bins)[np.flatnonzero(enough)[-1]])
    return OperatingPoint(threshold, sensitivity, rates_at(histogram, threshold))


def operating_point_for_specificity(histogram: ScoreHistogram, specificity: float) -> OperatingPoint:
    """The lowest threshold at which at least this share of the negatives is not flagged.

    Raises UndefinedMetric where nobody in `histogram` is negative, or too many of them score in the highest bin, and
    DataError for a share outside (0, 1].
    """
    if not 0 < specificity <= 1:
        raise DataError(f"specificity {specificity:g}: is no share of patients; give one above 0 and up to 1.")
    if not histogram.negative_count:
        raise UndefinedMetric(f"the threshold is undefined: no negative study among {histogram.studies}.")
    spared = np.cumsum(histogram.negatives) - histogram.negatives  # (bins,): negatives below this bin
    enough = spared >= specificity * histogram.negative_count - _ROUNDING
    if not enough.any():
        raise UndefinedMetric(
            f"the threshold is undefined: {histogram.negatives[-1]} of {histogram.negative_count} negatives score in "
            "the highest bin."
        )
    threshold = float(bin_edges(histogram.bins)[np.flatnonzero(enough)[0]])
    return OperatingPoint(threshold, specificity, rates_at(histogram, threshold))


def rates_at(histogram: ScoreHistogram, threshold: float) -> Rates:
    """Rates at a threshold that is an edge of the histogram's bins."""
    above = bin_edges(histogram.bins)[:-1] >= threshold  # (bins,): all of the bin is flagged
    return Rates(
        Share(int(histogram.positives[above].sum()), histogram.positive_count),
        Share(int(histogram.negatives[~above].sum()), histogram.negative_count),
    )


def predictive_values(rates: Rates, prevalence: float) -> tuple[float | None, float | None]:
    """PPV and NPV where this share of the patients bleeds, by Bayes' rule from sensitivity and specificity.

    None where it does not exist: a rate is of nobody, or nobody would be flagged (spared). Raises DataError for a
    share outside (0, 1).
    """
    if not 0 < prevalence < 1:
        raise DataError(f"prevalence {prevalence:g}: is no share of patients; give one above 0 and below 1.")
    sensitivity, specificity = rates.sensitivity.value, rates.specificity.value
    if sensitivity is None or specificity is None:
        return None, None
    bleeding, well = prevalence, 1 - prevalence
    return (
        _share(bleeding * sensitivity, well * (1 - specificity)),
        _share(well * specificity, bleeding * (1 - sensitivity)),
    )


def _share(right: float, wrong: float) -> float | None:
    return right / (right + wrong) if right + wrong else None
