"""Scores drawn from a run's histograms, and the flag on its ROC."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodnet_model.errors import BloodNetError, DataError, SettingsError
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram, summary
from simulation.triage_benefit.classifier import Classifier, classifier_of, from_histogram, from_operating_point

BY_HAND = ScoreHistogram(np.array([1, 1, 2, 6]), np.array([6, 2, 2, 0]))


def write_run(folder: Path, histogram: ScoreHistogram | None, data: str = "cq500", name: str = "first") -> Path:
    """A run folder with this test histogram of `any`, or with no test at all."""
    record = summary(histogram or BY_HAND)
    test: dict[str, Any] | None = None
    if histogram is not None:
        counts = {"positives": histogram.positives.tolist(), "negatives": histogram.negatives.tolist()}
        test = {"pooled": dict.fromkeys(CLASSES, record), "histograms": {CLASSES[0]: counts}}
    run = {"name": name, "data": data, "strategy": "fedavg", "rounds": 1, "preset": "tiny", "link": "dependent"}
    metrics = {"schema": 1, "run": {**run, "parameters": 1, "seed": 0}, "sites": {}, "rounds": [], "test": test}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.mark.parametrize(
    ("target", "flag_bin", "sensitivity", "specificity"),
    [(0.5, 3, 0.6, 1.0), (0.6, 3, 0.6, 1.0), (0.61, 2, 0.8, 0.8), (0.9, 1, 0.9, 0.6), (1.0, 0, 1.0, 0.0)],
)
def test_the_flag_is_the_highest_threshold_that_reaches_the_target(
    target: float, flag_bin: int, sensitivity: float, specificity: float
) -> None:
    classifier = from_histogram(BY_HAND, target, "x", synthetic=False)
    assert classifier.flag_bin == flag_bin
    assert (classifier.sensitivity, classifier.specificity) == pytest.approx((sensitivity, specificity))


def test_drawn_scores_fall_as_the_counts_do() -> None:
    classifier = from_histogram(BY_HAND, 0.9, "x", synthetic=False)
    quantile = (np.arange(1000) + 0.5) / 1000
    positives = classifier.draw_bins(np.ones(1000, bool), quantile)
    negatives = classifier.draw_bins(np.zeros(1000, bool), quantile)
    assert np.bincount(positives, minlength=4).tolist() == [100, 100, 200, 600]
    assert np.bincount(negatives, minlength=4).tolist() == [600, 200, 200, 0]


def test_the_ends_of_the_quantiles_never_meet_an_empty_bin() -> None:
    shares = np.array([0, 0.1, 0.2, 0.7, 0, 0])
    classifier = Classifier(shares, shares, 3, "x")
    ends = np.array([0.0, np.nextafter(1, 0)])
    assert classifier.draw_bins(np.ones(2, bool), ends).tolist() == [1, 3]


def test_an_operating_point_flags_with_its_probabilities() -> None:
    classifier = from_operating_point(0.9, 0.7)
    assert (classifier.sensitivity, classifier.specificity) == pytest.approx((0.9, 0.7))
    assert not classifier.graded
    assert classifier.resampled(np.random.default_rng(0)) is None


def test_resampled_test_sets_spread_around_the_measured_one() -> None:
    classifier = from_histogram(BY_HAND, 0.9, "x", synthetic=False)
    rng = np.random.default_rng(0)
    drawn = [classifier.resampled(rng) for _ in range(2000)]
    sensitivities = [each.sensitivity for each in drawn if each is not None]
    assert np.mean(sensitivities) == pytest.approx(0.9, abs=0.01)
    assert np.std(sensitivities) == pytest.approx((0.9 * 0.1 / 10) ** 0.5, rel=0.05)  # binomial, of 10 positives


def test_a_run_gives_its_test_patients(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random(60)
    histogram = ScoreHistogram.from_scores(scores, np.arange(60) % 2)
    classifier = classifier_of(write_run(tmp_path, histogram, data="synthetic"), None, None, None)
    assert classifier.test_set == histogram
    assert classifier.synthetic
    assert classifier.sensitivity == pytest.approx(0.9, abs=1e-9)
    assert classifier.source == "test patients of run first"
    assert not classifier_of(write_run(tmp_path, histogram), None, None, None).synthetic


def test_a_run_without_a_usable_test_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metrics\.json: holds no score histogram .* give --sensitivity"):
        classifier_of(write_run(tmp_path / "a", None), None, None, None)
    healthy = ScoreHistogram.from_scores([0.1, 0.2], [0, 0])
    with pytest.raises(DataError, match=r"run first: .* no positive study among 2\. Give a run with both"):
        classifier_of(write_run(tmp_path / "b", healthy), None, None, None)


@pytest.mark.parametrize(
    ("target", "sensitivity", "specificity", "sentence"),
    [
        (None, None, None, "run: give the folder"),
        (None, 0.9, None, "both --sensitivity and --specificity"),
        (0.9, 0.9, 0.9, "sensitivity_target: goes with --run"),
        (None, 1.1, 0.9, "sensitivity: 1.1 is no share"),
        (None, 0.9, float("nan"), "specificity: nan is no share"),
    ],
)
def test_a_classifier_is_given_in_exactly_one_way(
    target: float | None, sensitivity: float | None, specificity: float | None, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        classifier_of(None, target, sensitivity, specificity)


def test_a_run_and_a_point_exclude_each_other(tmp_path: Path) -> None:
    for sensitivity, specificity in ((0.9, None), (None, 0.9)):
        with pytest.raises(SettingsError, match="run: has a ROC of its own"):
            classifier_of(write_run(tmp_path, BY_HAND), None, sensitivity, specificity)
    for target in (0.0, 1.01):
        with pytest.raises(BloodNetError, match="sensitivity_target"):
            classifier_of(write_run(tmp_path, BY_HAND), target, None, None)
