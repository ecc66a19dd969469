"""Two networks, each trained from several seeds, on the same patients: a multi-reader multi-case study.

A network trained again from another seed reads the same scans a little differently, as another radiologist would. So
the seeds are the readers: what is said of two ways of training must hold for new patients and for a new training.
The variance is that of Obuchowski and Rockette (Commun. Stat. Simul. 1995), the degrees of freedom those of Hillis
(Stat. Med. 2007). All that it needs from the patients are sums of whole numbers, as in `bloodnet_model.paired`; so
hospitals together give exactly what all patients in one place would give.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.paired import Difference, PlacementSums, class_sums, difference, placement_differences

_MOST_TIMES: Final = 1000.0  # as many patients; beyond that nobody wants to know


@dataclass(frozen=True)
class ReaderSums:
    """A site's answer; `a + b` is that of the two sites together.

    by_seed:  of the placement differences of each pair of trainings
    together: of each study's differences, summed over the seeds
    """

    by_seed: tuple[PlacementSums, ...]
    together: PlacementSums

    def __add__(self, other: "ReaderSums") -> "ReaderSums":
        by_seed = tuple(mine + theirs for mine, theirs in zip(self.by_seed, other.by_seed, strict=True))
        return ReaderSums(by_seed, self.together + other.together)


@dataclass(frozen=True)
class ReaderDifference:
    """AUC of the first way of training minus that of the second, means over the seeds.

    deltas:           of each seed
    patient_variance: of the mean, were the same trained networks to read other patients (DeLong)
    case_covariance:  what of it the seeds share, and more seeds do not take away; 0 or more
    seed_variance:    of `deltas`, 0 where there is one
    studies:          that were read
    """

    deltas: tuple[float, ...]
    patient_variance: float
    case_covariance: float
    seed_variance: float
    studies: int

    @property
    def delta(self) -> float:
        return fmean(self.deltas)

    def interval(self, level: float = 0.95, times: float = 1.0) -> tuple[float, float]:
        """For new patients and new trainings; for `times` as many patients, should they be like these.

        With one seed it is for new patients alone. Raises UndefinedMetric where the variance is 0.
        """
        of_seeds = self.seed_variance / len(self.deltas)
        of_patients = self.case_covariance / times
        if of_seeds + of_patients == 0:
            raise UndefinedMetric("the interval is undefined: both ways of training rank every patient alike.")
        reach = _quantile((1 + level) / 2, self._freedom(of_seeds, of_patients)) * math.sqrt(of_seeds + of_patients)
        return self.delta - reach, self.delta + reach

    def patient_interval(self, level: float = 0.95) -> tuple[float, float]:
        """For new patients and these very trainings (DeLong); raises UndefinedMetric where the variance is 0."""
        return Difference(self.delta, self.patient_variance).interval(level)

    def studies_to_decide(self, level: float = 0.95) -> int | None:
        """How many such studies would move the interval off 0 if `delta` stayed; None where no number would."""
        for times in map(float, np.geomspace(1.0, _MOST_TIMES, 1000)):
            low, high = self.interval(level, times)
            if low > 0 or high < 0:
                return math.ceil(times * self.studies)
        return None

    def _freedom(self, of_seeds: float, of_patients: float) -> float:
        if of_seeds == 0:
            return math.inf
        return (of_seeds + of_patients) ** 2 / (of_seeds**2 / (len(self.deltas) - 1))


def reader_sums(
    first_scores: ArrayLike,
    second_scores: ArrayLike,
    labels: ArrayLike,
    first: Sequence[ScoreHistogram],
    second: Sequence[ScoreHistogram],
) -> ReaderSums:
    """A site's part. Scores (seeds, n) and labels (n,) are its own; the histograms, one a seed, those of all sites.

    Studies labelled -1 (unknown) are dropped. Raises DataError where the arrays do not fit each other.
    """
    ours, theirs = np.asarray(first_scores), np.asarray(second_scores)
    if not len(ours) == len(theirs) == len(first) == len(second):
        raise DataError("Two ways of training are compared seed by seed; train both from the same seeds.")
    doubled = [
        placement_differences(a, b, labels, of_a, of_b)
        for a, b, of_a, of_b in zip(ours, theirs, first, second, strict=True)
    ]
    by_seed = tuple(class_sums(one, labels) for one in doubled)
    return ReaderSums(by_seed, class_sums(np.sum(doubled, 0), labels))


def reader_difference(sums: ReaderSums) -> ReaderDifference:
    """From the sums of all sites; raises UndefinedMetric with fewer than two studies of a class."""
    each, seeds = [difference(one) for one in sums.by_seed], len(sums.by_seed)
    of_mean = difference(sums.together).variance / seeds**2
    if seeds == 1:
        shared, of_seeds = of_mean, 0.0
    else:
        shared = (seeds**2 * of_mean - sum(one.variance for one in each)) / (seeds * (seeds - 1))
        of_seeds = variance(one.delta for one in each)
    studies = sums.together.positives.studies + sums.together.negatives.studies
    return ReaderDifference(tuple(one.delta for one in each), of_mean, max(shared, 0.0), of_seeds, studies)


def _quantile(probability: float, freedom: float) -> float:
    if math.isinf(freedom):
        return NormalDist().inv_cdf(probability)
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
