"""AUC of a federation from summed counts, without a patient's score leaving a hospital.

A site counts its positives and negatives on fixed bins of the score. Merging sites is addition, so pooling
hospitals equals pooling patients: the AUC and DeLong's variance of the sum are exactly those of all binned
scores, and how far binning can have moved the AUC has a bound (`ScoreHistogram.auc_error_bound`).

A site that must not show where each of its few positives scored sends `coarsened()` counts: 16 blocks of bins
instead of 1,024. They add up with other sites' counts, and the bound grows by what the blocks hide.

A figure that does not exist for the data raises `UndefinedMetric`; it is never 0, 0.5 or NaN.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.labels import UNKNOWN
from bloodnet_model.score_bins import BINS, BLOCKS, bin_index, middle_bins

Scale = Literal["logit", "plain"]

_MOST: Final = 10**8  # studies of a class; the pairs of many more would pass 64 bits, and the AUC silently be wrong
_FIELDS: Final = ("positives", "negatives", "coarse_positives", "coarse_negatives")
_NONE_COARSE: Final = np.zeros(BLOCKS, np.int64)
_NONE_COARSE.setflags(write=False)


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """Counts of positive and negative studies by bin of their score; both int64 (bins,), read-only.

    `coarse_positives` and `coarse_negatives`, int64 (BLOCKS,), say how many of them are known by block alone; these
    stand in the middle bin of their block.

    `a + b` is the histogram of the two groups of patients together; `sum(sites, start=ScoreHistogram.empty())`
    pools a federation. Raises DataError where the counts are no histogram.
    """

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    coarse_positives: NDArray[np.int64] = field(default_factory=lambda: _NONE_COARSE)
    coarse_negatives: NDArray[np.int64] = field(default_factory=lambda: _NONE_COARSE)

    def __post_init__(self) -> None:
        for name in _FIELDS:
            object.__setattr__(self, name, _counts(getattr(self, name), name.replace("_", " ")))
        if self.positives.size != self.negatives.size:
            raise DataError(
                f"score histogram: positives have {self.positives.size} bins but negatives {self.negatives.size}; "
                "count both on the same bins."
            )
        _check_coarse(self.positives, self.coarse_positives, "positives")
        _check_coarse(self.negatives, self.coarse_negatives, "negatives")

    @classmethod
    def empty(cls, bins: int = BINS) -> Self:
        """The histogram of nobody: the neutral element of `+`."""
        return cls(np.zeros(bins, np.int64), np.zeros(bins, np.int64))

    @classmethod
    def from_scores(cls, scores: ArrayLike, labels: ArrayLike, bins: int = BINS) -> Self:
        """Counts of `scores` (n,) in [0, 1] by `labels` (n,) 0 or 1; studies labelled -1 (unknown) are dropped.

        Raises DataError for a score that is no probability, even an unknown study's, or another label.
        """
        score, label = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(labels).ravel()
        if score.size != label.size:
            raise DataError(f"score histogram: {score.size} scores but {label.size} labels; give one label a score.")
        index = bin_index(score, bins)
        strange = (label != 0) & (label != 1) & (label != UNKNOWN)
        if strange.any():
            raise DataError(f"score histogram: label {label[strange][0]} is not 0, 1 or -1 (unknown); mend the labels.")
        row = label.astype(np.int64) - UNKNOWN  # 0 unknown, 1 negative, 2 positive
        _, negatives, positives = np.bincount(row * bins + index, minlength=3 * bins).reshape(3, bins)
        return cls(positives, negatives)

    def coarsened(self) -> "ScoreHistogram":
        """The same studies known by block alone: all counts of a block stand in its middle bin, and are called coarse.

        Raises DataError where the bins make no equal blocks.
        """
        middle = middle_bins(self.bins)
        counts = np.zeros((2, self.bins), np.int64)
        blocks = [each.reshape(BLOCKS, -1).sum(1) for each in (self.positives, self.negatives)]
        counts[:, middle] = blocks
        return _unchecked(*counts, *blocks)

    def __add__(self, other: object) -> "ScoreHistogram":
        if not isinstance(other, ScoreHistogram):
            return NotImplemented
        if self.positives.size != other.positives.size:
            raise DataError(
                f"score histogram: {self.bins} bins cannot be added to {other.bins}; use one number of bins everywhere."
            )
        return _unchecked(
            self.positives + other.positives,
            self.negatives + other.negatives,
            self.coarse_positives + other.coarse_positives,
            self.coarse_negatives + other.coarse_negatives,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ScoreHistogram):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _FIELDS)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name).tobytes() for name in _FIELDS))

    @property
    def bins(self) -> int:
        return int(self.positives.size)

    @property
    def positive_count(self) -> int:
        return int(self.positives.sum())

    @property
    def negative_count(self) -> int:
        return int(self.negatives.sum())

    @property
    def studies(self) -> int:
        return self.positive_count + self.negative_count

    def auc(self) -> float:
        """P(a positive scores higher than a negative) + ½ P(they tie), of the binned scores (Mann-Whitney)."""
        self._require(1)
        # Doubled counts keep the sum in integers, hence exact and the same in any order of merging.
        wins_doubled = int((self.positives * (2 * _below(self.negatives) + self.negatives)).sum())
        return wins_doubled / (2 * self.positive_count * self.negative_count)

    def auc_error_bound(self) -> float:
        """Largest possible distance to the AUC of the unbinned scores.

        A pair that shares a bin counts as a tie and may be half a pair off. A pair that shares a block but no bin may
        be wholly off where one of the two is coarse. All other pairs are in their true order.
        """
        self._require(1)
        shared = int((self.positives * self.negatives).sum())
        doubled = shared + 2 * self._pairs_in_doubt()
        return doubled / (2 * self.positive_count * self.negative_count)

    def _pairs_in_doubt(self) -> int:
        """Pairs of a block of which a member is coarse and which do not share a bin."""
        if not (self.coarse_positives.any() or self.coarse_negatives.any()):
            return 0
        middle = middle_bins(self.bins)
        in_block = self._pairs_with_coarse(
            *(each.reshape(BLOCKS, -1).sum(1) for each in (self.positives, self.negatives))
        )
        in_bin = self._pairs_with_coarse(self.positives[middle], self.negatives[middle])
        return int((in_block - in_bin).sum())

    def _pairs_with_coarse(self, positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of all pairs of these (BLOCKS,), the coarse ones among them, those that are not of two fine counts."""
        fine = (positives - self.coarse_positives) * (negatives - self.coarse_negatives)
        return positives * negatives - fine

    def delong_variance(self) -> float:
        """Variance of `auc()` (DeLong, DeLong and Clarke-Pearson, Biometrics 1988); needs two of each class.

        A placement value is the share of the other class that one study is ranked rightly against, ties half. All
        studies of a bin have the same, so the counts suffice.
        """
        self._require(2)
        p, n, auc = self.positive_count, self.negative_count, self.auc()
        of_positives = (2 * _below(self.negatives) + self.negatives) / (2 * n)
        of_negatives = (2 * (p - _below(self.positives)) - self.positives) / (2 * p)
        spread_p = float((self.positives * (of_positives - auc) ** 2).sum()) / (p - 1)
        spread_n = float((self.negatives * (of_negatives - auc) ** 2).sum()) / (n - 1)
        return spread_p / p + spread_n / n

    def auc_interval(self, level: float = 0.95, scale: Scale = "logit") -> tuple[float, float]:
        """Confidence interval of `auc()` from DeLong's variance.

        On the logit scale it stays in (0, 1). The plain one, auc +- z * standard error, is what most software prints;
        it is not clipped and may pass 1. Raises UndefinedMetric where the variance is 0 (perfect separation, or one
        tie): it would claim certainty.
        """
        quantile = normal_quantile(level)
        auc, variance = self.auc(), self.delong_variance()
        if variance == 0:
            what = "the classes are perfectly separated" if auc in (0.0, 1.0) else "all scores are tied"
            raise UndefinedMetric(f"the interval is undefined: {what}, so DeLong's variance is 0.")
        reach = quantile * math.sqrt(variance)
        if scale == "plain":
            return auc - reach, auc + reach
        middle, reach = math.log(auc / (1 - auc)), reach / (auc * (1 - auc))
        return _sigmoid(middle - reach), _sigmoid(middle + reach)

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False and true positive rate, each (bins + 1,) from 0 to 1, at the thresholds `bin_edges(bins)[::-1]`."""
        self._require(1)
        false_positives = np.concatenate([[0], np.cumsum(self.negatives[::-1])])
        true_positives = np.concatenate([[0], np.cumsum(self.positives[::-1])])
        return false_positives / self.negative_count, true_positives / self.positive_count

    def _require(self, each: int) -> None:
        """Raise UndefinedMetric unless both classes have at least `each` studies."""
        fewest, name = min((self.positive_count, "positive"), (self.negative_count, "negative"))
        if self.studies == 0:
            raise UndefinedMetric("the AUC is undefined: there is no study.")
        if fewest == 0:
            raise UndefinedMetric(f"the AUC is undefined: no {name} study among {self.studies}.")
        if fewest < each:
            raise UndefinedMetric(f"the interval is undefined: DeLong's variance needs two {name} studies, not 1.")


def _counts(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """`values` as a read-only copy; raises DataError unless they are counts on at least two bins."""
    given = np.asarray(values)
    counts = given.astype(np.int64)
    if given.ndim != 1 or given.size < 2 or given.dtype.kind not in "iu" or bool((counts < 0).any()):
        raise DataError(
            f"score histogram: {name} must be counts of studies, integers of 0 or more on at least 2 bins, but are "
            f"{given.dtype} of shape {given.shape}; send them as counted."
        )
    if counts.max() > _MOST or counts.sum() > _MOST:
        raise DataError(f"score histogram: {name} are more than {_MOST:,} studies; send them as counted.")
    counts.setflags(write=False)
    return counts


def _check_coarse(counts: NDArray[np.int64], coarse: NDArray[np.int64], name: str) -> None:
    """Raise DataError unless the coarse counts are among those of the middle bins of their blocks."""
    if coarse.size != BLOCKS:
        raise DataError(
            f"score histogram: coarse {name} have {coarse.size} blocks; count them on {BLOCKS} blocks of bins."
        )
    if coarse.any() and (coarse > counts[middle_bins(counts.size)]).any():
        raise DataError(
            f"score histogram: more coarse {name} than the middle bins of their blocks hold; "
            "count a coarse study in the middle bin of its block as well."
        )


def _unchecked(
    positives: NDArray[np.int64],
    negatives: NDArray[np.int64],
    coarse_positives: NDArray[np.int64],
    coarse_negatives: NDArray[np.int64],
) -> ScoreHistogram:
    """A histogram of arrays that are known to be one: sums of such need no second look, and there are many."""
    for counts in (positives, negatives, coarse_positives, coarse_negatives):
        counts.setflags(write=False)
    histogram = object.__new__(ScoreHistogram)
    histogram.__dict__.update(
        positives=positives, negatives=negatives, coarse_positives=coarse_positives, coarse_negatives=coarse_negatives
    )
    return histogram


def _below(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many lie in the bins below each bin."""
    return np.cumsum(counts) - counts


def normal_quantile(level: float) -> float:
    """How many standard errors an interval reaches to each side; raises DataError for what is no level."""
    if not 0 < level < 1:
        raise DataError(f"level: {level} is not a confidence level; give a share between 0 and 1, such as 0.95.")
    return NormalDist().inv_cdf((1 + level) / 2)


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))
