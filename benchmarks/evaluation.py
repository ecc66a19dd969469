"""What the figures of a federation cost: AUC and interval of a million scores, and the sum of a thousand sites."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bloodnet_model.metrics import ScoreHistogram

_SCORES, _SITES, _OF_A_SITE = 1_000_000, 1000, 200
_PAIRS, _SUMS = 7, 25


def measure() -> dict[str, float]:
    """Medians; the two AUCs are of the same scores, in turn."""
    rng = np.random.default_rng(0)
    labels = (rng.random(_SCORES) < 0.3).astype(np.int8)
    scores = 1 / (1 + np.exp(-rng.normal(2 * labels - 1.0, 2.0)))
    ours, theirs = [], []
    for _ in range(_PAIRS):
        ours.append(_seconds(lambda: _auc_and_interval(scores, labels)))
        theirs.append(_seconds(lambda: roc_auc_score(labels, scores)))
    ratio = median(slow / fast for slow, fast in zip(theirs, ours, strict=True))
    sites = [
        ScoreHistogram.from_scores(scores[first : first + _OF_A_SITE], labels[first : first + _OF_A_SITE])
        for first in range(0, _SITES * _OF_A_SITE, _OF_A_SITE)
    ]
    merging_ms = 1000 * median(_seconds(lambda: sum(sites, start=ScoreHistogram.empty())) for _ in range(_SUMS))
    print(f"  AUC and DeLong's interval of a million scores {1000 * median(ours):.0f} ms")
    print(f"  scikit-learn's AUC alone {1000 * median(theirs):.0f} ms, {ratio:.1f} times as long (aim: at least 10)")
    print(f"  the sum of {_SITES} sites' histograms {merging_ms:.1f} ms (aim: under 10)")
    return {"sklearn_over_ours": round(ratio, 2), "merging_1000_sites_ms": round(merging_ms, 2)}


def _auc_and_interval(scores: NDArray[np.float64], labels: NDArray[np.int8]) -> tuple[float, tuple[float, float]]:
    histogram = ScoreHistogram.from_scores(scores, labels)
    return histogram.auc(), histogram.auc_interval()


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started
