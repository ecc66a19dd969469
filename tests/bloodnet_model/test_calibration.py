"""Calibration of counts against scikit-learn on all binned scores."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from bloodnet_model.calibration import (
    brier_score,
    calibration_record,
    expected_error,
    fit,
    recalibrated,
    reliability,
)
from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.run_metrics import CalibrationRecord
from bloodnet_model.score_bins import bin_edges, bin_index, bin_midpoints, middle_bins
from bloodnet_model.score_histogram import ScoreHistogram

Scores = NDArray[np.float64]


def patients(seed: int, studies: int = 400, temperature: float = 2.0, bias: float = -1.0) -> tuple[Scores, Scores]:
    """Scores (n,) of a network that is too sure of itself, and labels drawn from the true probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2.5, studies)
    return expit(logits), (rng.random(studies) < expit(logits / temperature + bias)).astype(np.float64)


@given(st.integers(0, 2**31), st.integers(1, 300), st.sampled_from([16, 1024]))
def test_brier_score_is_scikit_learns_on_the_binned_scores(seed: int, studies: int, bins: int) -> None:
    scores, labels = patients(seed, studies)
    histogram = ScoreHistogram.from_scores(scores, labels, bins)
    binned = bin_midpoints(bins)[bin_index(scores, bins)]
    assert brier_score(histogram) == pytest.approx(brier_score_loss(labels, binned, pos_label=1))
    told = recalibrated(histogram, 3.0, 0.5)
    again = expit(logit(binned) / 3 + 0.5)
    assert brier_score(histogram, told) == pytest.approx(brier_score_loss(labels, again, pos_label=1))
    if bins == 1024:
        assert brier_score(histogram) == pytest.approx(brier_score_loss(labels, scores, pos_label=1), abs=0.002)


@given(st.integers(0, 2**31), st.integers(1, 300))
def test_reliability_is_that_of_the_binned_scores(seed: int, studies: int) -> None:
    scores, labels = patients(seed, studies)
    binned = bin_midpoints()[bin_index(scores)]
    rows = reliability(ScoreHistogram.from_scores(scores, labels))
    assert sum(row.studies for row in rows) == studies
    off = 0.0
    for row in rows:
        inside = (binned >= row.low) & (binned < row.high)
        assert (row.studies, row.positives) == (inside.sum(), labels[inside].sum())
        assert row.mean_score == pytest.approx(binned[inside].mean())
        off += abs(labels[inside].mean() - binned[inside].mean()) * inside.sum() / studies
    assert expected_error(ScoreHistogram.from_scores(scores, labels)) == pytest.approx(off)


def test_reliability_by_hand() -> None:
    histogram = ScoreHistogram.from_scores([0.5] * 4 + [1.0], [1, 0, 0, 0, 1])
    told = np.full(histogram.bins, 0.5)
    told[-1] = 1.0
    low, high = reliability(histogram, told, bins=2), reliability(histogram, told, bins=1)
    assert [(row.low, row.high, row.studies, row.positives) for row in low] == [(0.5, 1.0, 5, 2)]
    assert low[0].mean_score == high[0].mean_score == pytest.approx(0.6)
    assert expected_error(histogram, told, bins=10) == pytest.approx(4 / 5 * 0.25)
    assert brier_score(histogram, told) == pytest.approx(4 * 0.25 / 5)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(5, 300), st.floats(0.2, 8), st.floats(-3, 3))
def test_fit_is_scikit_learns_logistic_regression(seed: int, studies: int, temperature: float, bias: float) -> None:
    scores, labels = patients(seed, studies, temperature, bias)
    histogram = ScoreHistogram.from_scores(scores, labels)
    try:
        fitted = fit(histogram)
    except UndefinedMetric:
        assume(False)
        raise
    logits = logit(bin_midpoints()[bin_index(scores)])[:, None]
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)  # type: ignore[no-untyped-call]
    theirs.fit(logits, labels)
    assert 1 / fitted[0] == pytest.approx(float(theirs.coef_[0, 0]), rel=1e-4, abs=1e-6)
    assert fitted[1] == pytest.approx(float(theirs.intercept_[0]), rel=1e-4, abs=1e-6)


def test_fit_finds_what_the_scores_were_made_with_and_mends_them() -> None:
    validation = ScoreHistogram.from_scores(*patients(1, 20_000))
    temperature, bias = fit(validation)
    assert temperature == pytest.approx(2.0, abs=0.1)
    assert bias == pytest.approx(-1.0, abs=0.1)
    test = ScoreHistogram.from_scores(*patients(2, 20_000))
    told = recalibrated(test, temperature, bias)
    assert expected_error(test) > 0.1
    assert expected_error(test, told) < 0.02
    assert brier_score(test, told) < brier_score(test)


def test_fit_where_whole_steps_of_newton_run_away() -> None:
    positives, negatives = np.zeros((2, 1024), np.int64)
    positives[[712, 827, 1011]] = 10, 10_000, 1000
    negatives[[506, 827]] = 10, 10
    histogram = ScoreHistogram(positives, negatives)
    off = positives - (positives + negatives) * recalibrated(histogram, *fit(histogram))
    assert off.sum() == pytest.approx(0, abs=1e-6)  # the two equations that hold at the maximum
    assert (off * logit(bin_midpoints())).sum() == pytest.approx(0, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 1023), st.integers(0, 1)), max_size=8))
def test_fit_ends_for_any_few_patients(few: list[tuple[int, int]]) -> None:
    """Next to separated, out at the ends, turned round: a maximum, or a reason why there is none."""
    histogram = ScoreHistogram.from_scores(bin_midpoints()[[b for b, _ in few]], [y for _, y in few])
    try:
        temperature, bias = fit(histogram)
    except UndefinedMetric:
        return
    assert temperature > 0
    told = recalibrated(histogram, temperature, bias)
    mean = float((told * (histogram.positives + histogram.negatives)).sum())
    assert mean == pytest.approx(histogram.positive_count, abs=1e-6)  # what the bias is there for


@pytest.mark.parametrize(
    ("scores", "labels", "reason"),
    [
        ([], [], "no positive study among 0"),
        ([0.4, 0.6], [1, 1], "no negative study among 2"),
        ([0.1, 0.2, 0.8], [0, 0, 1], "a score separates the classes"),
        ([0.1, 0.2, 0.8], [1, 1, 0], "a score separates the classes"),
        ([0.1, 0.5, 0.5, 0.8], [0, 0, 1, 1], "a score separates the classes"),
        ([0.5, 0.5], [0, 1], "all scores are tied"),
        ([0.1, 0.2, 0.8, 0.9], [1, 0, 1, 0], "do not mean more hemorrhage"),
    ],
)
def test_a_temperature_that_does_not_exist_says_why(scores: list[float], labels: list[int], reason: str) -> None:
    with pytest.raises(UndefinedMetric, match=reason):
        fit(ScoreHistogram.from_scores(scores, labels))


def test_how_far_a_score_may_be_from_what_stands_for_it() -> None:
    edges, midpoints = bin_edges(), bin_midpoints()
    assert max((midpoints - edges[:-1]).max(), (edges[1:] - midpoints).max()) <= 0.001
    blocks, middles = edges[::64], midpoints[middle_bins()]
    assert max((middles - blocks[:-1]).max(), (blocks[1:] - middles).max()) <= 0.062


def test_record_is_fit_for_json_and_nobody_has_none() -> None:
    record = CalibrationRecord(**json.loads(json.dumps(calibration_record(ScoreHistogram.from_scores(*patients(3))))))
    assert sum(row.studies for row in record.bins) == 400
    with pytest.raises(UndefinedMetric, match="no study"):
        calibration_record(ScoreHistogram.empty())
    with pytest.raises(DataError, match="3 probabilities for 1024 bins"):
        brier_score(ScoreHistogram.from_scores([0.5], [1]), np.full(3, 0.5))
