"""Average precision of summed counts against scikit-learn on all binned scores."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from bloodnet_model.errors import UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram, bin_index, bin_midpoints
from bloodnet_model.precision_recall import average_precision, average_precision_interval, precision_recall_curve

SCORE = st.one_of(st.sampled_from([0.0, 0.01, 0.5, 0.99, 1.0]), st.floats(0, 1))
PATIENTS = st.builds(
    lambda first, second, more: [(first, 0), (second, 1), *more],
    SCORE,
    SCORE,
    st.lists(st.tuples(SCORE, st.integers(0, 1)), max_size=40),
)


@given(PATIENTS, st.sampled_from([2, 16, 1024]))
def test_average_precision_is_scikit_learns_on_the_binned_scores(patients: list[tuple[float, int]], bins: int) -> None:
    scores, labels = np.array([s for s, _ in patients]), np.array([y for _, y in patients])
    half = len(patients) // 2
    merged = ScoreHistogram.from_scores(scores[:half], labels[:half], bins)
    merged += ScoreHistogram.from_scores(scores[half:], labels[half:], bins)
    binned = bin_midpoints(bins)[bin_index(scores, bins)]
    assert average_precision(merged) == pytest.approx(average_precision_score(labels, binned), abs=1e-12)
    recall, precision = precision_recall_curve(merged)
    assert (np.diff(recall) * precision[1:]).sum() == pytest.approx(average_precision(merged))
    assert (recall[0], recall[-1], precision[-1]) == (0, 1, labels.mean())
    assert (np.diff(recall) >= 0).all()


def test_curve_and_interval_by_hand() -> None:
    merged = ScoreHistogram.from_scores([0.9, 0.6, 0.5, 0.1], [1, 0, 1, 0])
    recall, precision = precision_recall_curve(merged)
    assert recall.tolist() == [0, 0.5, 0.5, 1, 1]
    assert precision.tolist() == pytest.approx([1, 1, 0.5, 2 / 3, 0.5])
    assert average_precision(merged) == pytest.approx(5 / 6)
    # The standard error on the logit scale is 1 / sqrt(n A (1 - A)), n = 2 positives.
    reach = 1.959963985 / math.sqrt(2 * 5 / 6 * 1 / 6)
    low, high = average_precision_interval(merged)
    assert math.log(low / (1 - low)) == pytest.approx(math.log(5) - reach)
    assert math.log(high / (1 - high)) == pytest.approx(math.log(5) + reach)
    narrower = average_precision_interval(merged, 0.5)
    assert low < narrower[0] < 5 / 6 < narrower[1] < high


@pytest.mark.parametrize(
    ("labels", "reason"), [([0, 0], "no positive"), ([1, 1], "no negative"), ([], "no positive"), ([0, 1], "separated")]
)
def test_undefined_figures_say_why(labels: list[int], reason: str) -> None:
    merged = ScoreHistogram.from_scores([0.1, 0.9][: len(labels)], labels)
    with pytest.raises(UndefinedMetric, match=reason):
        average_precision_interval(merged)
    if reason != "separated":
        with pytest.raises(UndefinedMetric, match=reason):
            precision_recall_curve(merged)


@given(st.integers(1, 50), st.integers(1, 50))
def test_perfect_separation_is_exactly_one(positives: int, negatives: int) -> None:
    scores = np.linspace(0.1, 0.9, positives + negatives)
    merged = ScoreHistogram.from_scores(scores, np.arange(positives + negatives) >= negatives)
    assert average_precision(merged) == 1
