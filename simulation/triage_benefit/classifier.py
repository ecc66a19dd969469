"""How a classifier's scores fall on studies with and without hemorrhage: a run's measured ROC, or one point of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError, SettingsError, UndefinedMetric
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.run_metrics import METRICS, load_metrics

ANY: Final = CLASSES[0]
SENSITIVITY_TARGET: Final = 0.9


@dataclass(frozen=True, eq=False)
class Classifier:
    """Scores by bin, and the bin from which on a study is flagged.

    positive_shares: share of the studies with hemorrhage in each bin (bins,); negative_shares likewise
    test_set:        the counts behind the shares, where there are any
    source:          where this comes from, in words
    synthetic:       whether that was on drawn heads
    """

    positive_shares: NDArray[np.float64]
    negative_shares: NDArray[np.float64]
    flag_bin: int
    source: str
    test_set: ScoreHistogram | None = None
    synthetic: bool = False

    @property
    def sensitivity(self) -> float:
        return float(self.positive_shares[self.flag_bin :].sum())

    @property
    def specificity(self) -> float:
        return float(self.negative_shares[: self.flag_bin].sum())

    @property
    def graded(self) -> bool:
        """Whether scores tell more than a flag does."""
        return self.positive_shares.size > 2

    def draw_bins(self, positive: NDArray[np.bool_], quantile: NDArray[np.float64]) -> NDArray[np.int64]:
        """Bin of each study's score (studies,): the `quantile` in [0, 1) of the scores of its class."""
        bins = [
            np.searchsorted(np.cumsum(shares) / shares.sum(), quantile, side="right")
            for shares in (self.negative_shares, self.positive_shares)
        ]
        return np.where(positive, bins[1], bins[0])

    def resampled(self, rng: np.random.Generator) -> Self | None:
        """What another test set of the same size would have measured, as far as this one tells; None without one."""
        if self.test_set is None:
            return None
        positives = rng.multinomial(self.test_set.positive_count, self.positive_shares)
        negatives = rng.multinomial(self.test_set.negative_count, self.negative_shares)
        return type(self)(positives / positives.sum(), negatives / negatives.sum(), self.flag_bin, self.source)


def classifier_of(
    run_folder: Path | None, sensitivity_target: float | None, sensitivity: float | None, specificity: float | None
) -> Classifier:
    """Of a run, or of one operating point; raises SettingsError unless it is exactly one of them."""
    if run_folder is not None:
        if sensitivity is not None or specificity is not None:
            raise SettingsError(
                "run: has a ROC of its own; leave out --sensitivity and --specificity, or --run "
                "(--sensitivity-target moves the flag)."
            )
        return from_run(run_folder, SENSITIVITY_TARGET if sensitivity_target is None else sensitivity_target)
    if sensitivity is None or specificity is None:
        raise SettingsError("run: give the folder of a run with --run, or both --sensitivity and --specificity.")
    if sensitivity_target is not None:
        raise SettingsError("sensitivity_target: goes with --run; without a run, give --sensitivity itself.")
    return from_operating_point(sensitivity, specificity)


def from_operating_point(sensitivity: float, specificity: float) -> Classifier:
    """A flag that is right with these probabilities; raises SettingsError where they are none."""
    for name, value in (("sensitivity", sensitivity), ("specificity", specificity)):
        if not 0 <= value <= 1:
            raise SettingsError(f"{name}: {value:g} is no share; give one from 0 to 1, such as 0.9.")
    return Classifier(np.array([1 - sensitivity, sensitivity]), np.array([specificity, 1 - specificity]), 1, "as given")


def from_run(run_folder: Path, sensitivity_target: float = SENSITIVITY_TARGET) -> Classifier:
    """The test patients of a run; flagged is from the highest threshold on that reaches the target.

    Raises DataError where the run has no such counts, SettingsError for an impossible target.
    """
    if not 0 < sensitivity_target <= 1:
        raise SettingsError(f"sensitivity_target: {sensitivity_target:g} is none; give a share above 0 and up to 1.")
    metrics = load_metrics(run_folder)
    if metrics.test is None or ANY not in metrics.test.histograms:
        raise DataError(
            f"{run_folder / METRICS}: holds no score histogram of the test patients; let the run come to its end, "
            "or give --sensitivity and --specificity."
        )
    counts = metrics.test.histograms[ANY]
    histogram = ScoreHistogram(np.array(counts.positives), np.array(counts.negatives))
    return from_histogram(histogram, sensitivity_target, metrics.run.name, metrics.run.data == "synthetic")


def from_histogram(histogram: ScoreHistogram, sensitivity_target: float, name: str, synthetic: bool) -> Classifier:
    """A classifier with these scores; raises DataError where a class has no study, so that there is no ROC."""
    try:
        _, sensitivity = histogram.roc()
    except UndefinedMetric as reason:
        raise DataError(f"run {name}: {reason} Give a run with both, or --sensitivity and --specificity.") from None
    reached = int(np.flatnonzero(sensitivity >= sensitivity_target - 1e-12)[0])  # thresholds fall from bin `bins` on
    return Classifier(
        histogram.positives / histogram.positive_count,
        histogram.negatives / histogram.negative_count,
        flag_bin=histogram.bins - reached,
        source=f"test patients of run {name}",
        test_set=histogram,
        synthetic=synthetic,
    )
