"""Two networks on the same patients: the difference of their pooled AUCs, without a patient's score leaving a hospital.

First every site's score histograms of both networks are summed. The sums go back to the sites, and each returns how its
own patients' placement values differ between the networks: two counts, two sums, two sums of squares. Placement values
are whole numbers over twice the other class's count, so all sums are integers: exact, and the same in any order.

DeLong, DeLong and Clarke-Pearson, Biometrics 1988, for correlated curves.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram, bin_index


@dataclass(frozen=True)
class ClassSums:
    """Of one class's studies: how many, and the sums of their doubled placement differences and of the squares."""

    studies: int = 0
    sum: int = 0
    squares: int = 0

    @classmethod
    def of(cls, doubled: NDArray[np.int64]) -> Self:
        return cls(doubled.size, int(doubled.sum()), int((doubled * doubled).sum()))

    def __add__(self, other: "ClassSums") -> "ClassSums":
        return ClassSums(self.studies + other.studies, self.sum + other.sum, self.squares + other.squares)

    def variance(self, scale: int) -> float:
        """Sample variance of the differences, which are the doubled ones over `scale`."""
        deviations = self.studies * self.squares - self.sum * self.sum  # an exact integer, n times the sum of squares
        return deviations / (self.studies * (self.studies - 1)) / scale**2


@dataclass(frozen=True)
class PlacementSums:
    """A site's answer; `a + b` is that of the two sites together."""

    positives: ClassSums = ClassSums()
    negatives: ClassSums = ClassSums()

    def __add__(self, other: "PlacementSums") -> "PlacementSums":
        return PlacementSums(self.positives + other.positives, self.negatives + other.negatives)


@dataclass(frozen=True)
class Difference:
    """AUC of the first network minus that of the second, on the same patients."""

    delta: float
    variance: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Normal interval of `delta`; raises UndefinedMetric where the variance is 0: it would claim certainty."""
        if self.variance == 0:
            raise UndefinedMetric("the interval is undefined: both networks rank every patient alike.")
        reach = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(self.variance)
        return self.delta - reach, self.delta + reach


def placement_sums(
    first_scores: ArrayLike, second_scores: ArrayLike, labels: ArrayLike, first: ScoreHistogram, second: ScoreHistogram
) -> PlacementSums:
    """A site's part. Scores and labels (n,) are its own; the histograms those of all sites, on the same bins.

    Studies labelled -1 (unknown) are dropped. Raises DataError where the arrays do not fit each other.
    """
    return class_sums(placement_differences(first_scores, second_scores, labels, first, second), labels)


def placement_differences(
    first_scores: ArrayLike, second_scores: ArrayLike, labels: ArrayLike, first: ScoreHistogram, second: ScoreHistogram
) -> NDArray[np.int64]:
    """Doubled placement value by the first network minus that by the second, of each study (n,); stays at the site."""
    label = np.asarray(labels).ravel()
    ours, theirs = (
        _doubled_placements(np.asarray(scores, np.float64).ravel(), label, pooled)
        for scores, pooled in ((first_scores, first), (second_scores, second))
    )
    return ours - theirs


def class_sums(doubled: NDArray[np.int64], labels: ArrayLike) -> PlacementSums:
    """What of `placement_differences` (n,) may leave a site."""
    label = np.asarray(labels).ravel()
    return PlacementSums(ClassSums.of(doubled[label == 1]), ClassSums.of(doubled[label == 0]))


def difference(sums: PlacementSums) -> Difference:
    """From the sums of all sites; raises UndefinedMetric with fewer than two studies of a class."""
    positives, negatives = sums.positives, sums.negatives
    for name, part in (("positive", positives), ("negative", negatives)):
        if part.studies < 2:
            raise UndefinedMetric(f"the difference is undefined: it needs two {name} studies, not {part.studies}.")
    of_positives, of_negatives = 2 * negatives.studies, 2 * positives.studies  # what placements were doubled over
    return Difference(
        positives.sum / (positives.studies * of_positives),
        positives.variance(of_positives) / positives.studies + negatives.variance(of_negatives) / negatives.studies,
    )


def _doubled_placements(
    scores: NDArray[np.float64], labels: NDArray[np.generic], pooled: ScoreHistogram
) -> NDArray[np.int64]:
    """Twice the number of the other class that each study is ranked rightly against, a tie counting half."""
    if scores.size != labels.size:
        raise DataError(f"paired AUC: {scores.size} scores but {labels.size} labels; give one score a label.")
    bins = bin_index(scores, pooled.bins)
    negatives_below = np.cumsum(pooled.negatives) - pooled.negatives
    positives_above = pooled.positive_count - np.cumsum(pooled.positives)
    of_positive = 2 * negatives_below + pooled.negatives
    of_negative = 2 * positives_above + pooled.positives
    return np.where(labels == 1, of_positive[bins], of_negative[bins])
