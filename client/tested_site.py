"""A site's patients as several networks score them. The scores stay here; counts and sums are what it gives out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.metrics import BINS, ScoreHistogram, bin_index
from bloodnet_model.reader_study import ReaderSums, reader_sums


@dataclass(frozen=True, eq=False)
class TestedSite:
    """Patients of one split.

    labels:   int8 (studies,) of any hemorrhage: 0, 1 or -1 (unknown)
    patients: int64 (studies,), equal where a patient is the same
    scores:   float64 (studies,) in [0, 1] by network
    """

    __test__ = False  # pytest would take it for a test

    name: str
    labels: NDArray[np.int8]
    patients: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float64]]

    def histogram(self, network: str) -> ScoreHistogram:
        return ScoreHistogram.from_scores(self.scores[network], self.labels)

    def reader_sums(
        self, first: Sequence[str], second: Sequence[str], pooled: Mapping[str, ScoreHistogram]
    ) -> ReaderSums:
        """Its part of comparing two ways of training, each by its networks, one a seed; `pooled` is of all sites."""
        ours, theirs = ([self.scores[name] for name in names] for names in (first, second))
        return reader_sums(
            ours, theirs, self.labels, [pooled[name] for name in first], [pooled[name] for name in second]
        )

    def resampled(self, networks: Sequence[str], replicates: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Counts (networks, 2, replicates, bins), negatives first, of as many of its patients drawn with replacement.

        All networks have the same draws; a patient's studies come together.
        """
        _, own = np.unique(self.patients, return_inverse=True)
        count = int(own.max(initial=-1)) + 1
        drawn = rng.integers(0, max(1, count), (replicates, count))
        rows = np.arange(replicates)[:, None] * count
        times = np.bincount((drawn + rows).ravel(), minlength=replicates * count).reshape(replicates, count)[:, own]
        bins = [bin_index(self.scores[name]) for name in networks]
        counts = [[_counted(times, of, self.labels == label) for label in (0, 1)] for of in bins]
        return np.array(counts, np.int64)


def _counted(times: NDArray[np.int64], bins: NDArray[np.int64], which: NDArray[np.bool_]) -> NDArray[Any]:
    """How often studies of `which` were drawn, by replicate and bin: (replicates, bins)."""
    counts = np.zeros((len(times), BINS), np.int64)
    for column, place in zip(times[:, which].T, bins[which], strict=True):
        counts[:, place] += column
    return counts
