import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram, bin_index
from bloodnet_model.paired import PlacementSums, difference, placement_sums

Floats = NDArray[np.float64]


def direct_delong(first: Floats, second: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
    """The textbook's way: every pair of patients, and the covariance of both networks' structural components."""
    components_p, components_n = [], []
    for scores in (first, second):
        bins = bin_index(scores)
        positive, negative = bins[labels == 1], bins[labels == 0]
        wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
        components_p.append(wins.mean(1))
        components_n.append(wins.mean(0))
    covariance = np.cov(components_p) / len(components_p[0]) + np.cov(components_n) / len(components_n[0])
    delta = components_p[0].mean() - components_p[1].mean()
    return float(delta), float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])


def patients(seed: int, count: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 3 == 0).astype(np.int64)
    shared = rng.normal(labels, 1.0)
    first, second = (1 / (1 + np.exp(-(shared + rng.normal(0, noise, count)))) for noise in (0.3, 0.8))
    return first, second, labels


def federated(first: Floats, second: Floats, labels: NDArray[np.int64], sites: NDArray[np.int64]) -> PlacementSums:
    members = [sites == site for site in np.unique(sites)]
    pooled = [
        sum((ScoreHistogram.from_scores(scores[m], labels[m]) for m in members), start=ScoreHistogram.empty())
        for scores in (first, second)
    ]
    parts = [placement_sums(first[m], second[m], labels[m], *pooled) for m in members]
    return sum(parts, start=PlacementSums())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(8, 120), st.integers(1, 6))
def test_hospitals_together_give_what_all_patients_in_one_place_give(seed: int, count: int, sites: int) -> None:
    first, second, labels = patients(seed, count)
    where = np.random.default_rng(seed).integers(0, sites, count)
    sums = federated(first, second, labels, where)
    assert sums == federated(first, second, labels, np.zeros(count, np.int64))
    delta, variance = direct_delong(first, second, labels)
    assert difference(sums).delta == pytest.approx(delta, abs=1e-12)
    assert difference(sums).variance == pytest.approx(variance, abs=1e-12)


def test_the_difference_is_that_of_the_pooled_aucs() -> None:
    first, second, labels = patients(3, 200)
    aucs = [ScoreHistogram.from_scores(scores, labels).auc() for scores in (first, second)]
    assert difference(federated(first, second, labels, labels * 0)).delta == pytest.approx(aucs[0] - aucs[1], abs=1e-12)


def test_pairing_is_worth_its_name() -> None:
    """Networks that err on the same patients are told apart better than two samples would be."""
    first, second, labels = patients(0, 300)
    unpaired = sum(ScoreHistogram.from_scores(scores, labels).delong_variance() for scores in (first, second))
    assert difference(federated(first, second, labels, labels * 0)).variance < 0.5 * unpaired


def test_the_interval_covers_what_repeated_samples_show() -> None:
    """Of 400 samples from one population, 95 % of the intervals hold the true difference, within binomial error."""
    truth = np.mean([direct_delong(*patients(10_000 + i, 240))[0] for i in range(400)])
    covered = 0
    for seed in range(400):
        first, second, labels = patients(seed, 240)
        low, high = difference(federated(first, second, labels, labels * 0)).interval()
        covered += int(low <= truth <= high)
    assert 0.92 <= covered / 400 <= 0.98


def test_unknown_labels_do_not_count() -> None:
    first, second, labels = patients(1, 60)
    known = federated(first, second, labels, labels * 0)
    with_unknown = np.concatenate([labels, [-1, -1]])
    pooled = [ScoreHistogram.from_scores(scores, labels) for scores in (first, second)]
    again = placement_sums(np.append(first, [0.1, 0.9]), np.append(second, [0.9, 0.1]), with_unknown, *pooled)
    assert again == known


def test_what_does_not_exist_is_no_number() -> None:
    first, second, labels = patients(1, 30)
    equal = federated(first, first, labels, labels * 0)
    assert difference(equal).delta == 0
    with pytest.raises(UndefinedMetric, match="rank every patient alike"):
        difference(equal).interval()
    with pytest.raises(UndefinedMetric, match="two positive studies, not 0"):
        difference(federated(first, second, labels * 0, labels * 0))
    with pytest.raises(DataError, match="30 scores but 29 labels"):
        placement_sums(first, second, labels[1:], ScoreHistogram.empty(), ScoreHistogram.empty())
