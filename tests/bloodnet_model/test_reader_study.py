import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import stdtrit

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram, bin_index
from bloodnet_model.paired import difference
from bloodnet_model.reader_study import ReaderDifference, ReaderSums, reader_difference, reader_sums

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def trained(seed: int, seeds: int, count: int, gain: float = 0.0, wobble: float = 0.5) -> tuple[Floats, Floats, Labels]:
    """Scores (seeds, count) of two ways of training on the same patients: patient, way and training each add noise."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 2)
    patient = rng.normal(1.5 * labels, 1.0)
    first, second = (
        patient
        + way * labels
        + rng.normal(0, 0.4, count)
        + rng.normal(0, 0.25, (seeds, 1)) * labels
        + rng.normal(0, wobble, (seeds, count))
        for way in (gain, 0.0)
    )
    return 1 / (1 + np.exp(-first)), 1 / (1 + np.exp(-second)), labels


def federated(first: Floats, second: Floats, labels: Labels, sites: Labels) -> ReaderSums:
    members = [sites == site for site in np.unique(sites)]
    pooled = [
        [
            sum((ScoreHistogram.from_scores(one[m], labels[m]) for m in members), start=ScoreHistogram.empty())
            for one in of
        ]
        for of in (first, second)
    ]
    parts = [reader_sums(first[:, m], second[:, m], labels[m], *pooled) for m in members]
    return sum(parts[1:], start=parts[0])


def read(first: Floats, second: Floats, labels: Labels) -> ReaderDifference:
    return reader_difference(federated(first, second, labels, np.zeros(labels.size, np.int64)))


def placements(scores: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """DeLong's structural components by the definition: every pair of patients."""
    bins = bin_index(scores)
    positive, negative = bins[labels == 1], bins[labels == 0]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return wins.mean(1), wins.mean(0)


def obuchowski_rockette(first: Floats, second: Floats, labels: Labels) -> tuple[float, float]:
    """Variance of the difference and Hillis' degrees of freedom, from the covariance of all AUCs as in the papers."""
    seeds = len(first)
    components = [placements(scores, labels) for scores in (*first, *second)]
    aucs = np.array([positive.mean() for positive, _ in components]).reshape(2, seeds)
    of_positives, of_negatives = (np.cov([pair[side] for pair in components]) for side in (0, 1))
    covariance = of_positives / int((labels == 1).sum()) + of_negatives / int((labels == 0).sum())
    same_way = [
        covariance[w * seeds + i, w * seeds + j] for w in (0, 1) for i in range(seeds) for j in range(seeds) if i != j
    ]
    other_way = [covariance[i, seeds + j] for i in range(seeds) for j in range(seeds) if i != j]
    interaction = aucs - aucs.mean(0) - aucs.mean(1, keepdims=True) + aucs.mean()
    mean_square = (interaction**2).sum() / (seeds - 1)  # (ways - 1)(seeds - 1), there being two ways
    shared = seeds * max(np.mean(same_way) - np.mean(other_way), 0)
    freedom = (mean_square + shared) ** 2 / (mean_square**2 / (seeds - 1))
    return float(2 / seeds * (mean_square + shared)), float(freedom)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(8, 80), st.integers(1, 5))
def test_hospitals_together_give_what_all_patients_in_one_place_give(
    seed: int, seeds: int, count: int, sites: int
) -> None:
    first, second, labels = trained(seed, seeds, count)
    where = np.random.default_rng(seed).integers(0, sites, count)
    assert federated(first, second, labels, where) == federated(first, second, labels, np.zeros(count, np.int64))


def test_the_differences_are_those_of_the_pooled_aucs() -> None:
    first, second, labels = trained(1, 3, 150)
    expected = [
        ScoreHistogram.from_scores(ours, labels).auc() - ScoreHistogram.from_scores(theirs, labels).auc()
        for ours, theirs in zip(first, second, strict=True)
    ]
    found = read(first, second, labels)
    assert found.deltas == pytest.approx(expected, abs=1e-12)
    assert found.delta == pytest.approx(np.mean(expected), abs=1e-12)
    assert found.studies == 150


@pytest.mark.parametrize(("seed", "seeds"), [(0, 2), (1, 3), (2, 5), (3, 8)])
def test_interval_is_that_of_obuchowski_rockette_and_hillis(seed: int, seeds: int) -> None:
    first, second, labels = trained(seed, seeds, 120, gain=0.4)
    variance, freedom = obuchowski_rockette(first, second, labels)
    found = read(first, second, labels)
    reach = stdtrit(freedom, 0.975) * math.sqrt(variance)
    assert found.interval() == pytest.approx((found.delta - reach, found.delta + reach), abs=1e-9)


def test_patient_variance_is_that_of_the_mean_over_the_seeds() -> None:
    first, second, labels = trained(5, 4, 90)
    ours, theirs = (np.mean([placements(one, labels)[0] for one in of], 0) for of in (first, second))
    others_ours, others_theirs = (np.mean([placements(one, labels)[1] for one in of], 0) for of in (first, second))
    expected = np.var(ours - theirs, ddof=1) / 45 + np.var(others_ours - others_theirs, ddof=1) / 45
    assert read(first, second, labels).patient_variance == pytest.approx(expected, abs=1e-12)


def test_one_seed_is_plain_paired_delong() -> None:
    first, second, labels = trained(7, 1, 100)
    sums = federated(first, second, labels, np.zeros(100, np.int64))
    assert reader_difference(sums).interval() == pytest.approx(difference(sums.by_seed[0]).interval())


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Two ways of training that are alike: 0 is in 95 % of the intervals, to within what 300 studies can tell."""
    covered = 0
    for seed in range(300):
        low, high = read(*trained(1000 + seed, 4, 80)).interval()
        covered += low <= 0 <= high
    assert 0.92 <= covered / 300 <= 0.995


def test_more_patients_decide_unless_the_seeds_disagree_too_much() -> None:
    alike = ReaderDifference((0.02, 0.021, 0.019), 4e-4, 4e-4, 1e-6, 200)
    low, _ = alike.interval()
    needed = alike.studies_to_decide()
    assert low < 0
    assert needed is not None
    assert 200 < needed < 2000
    assert alike.interval(times=needed / 200)[0] > -1e-5
    assert alike.interval(times=0.95 * needed / 200)[0] < 0
    quarrelling = ReaderDifference((0.2, -0.1, 0.05), 4e-4, 4e-4, 2e-2, 200)
    assert quarrelling.studies_to_decide() is None


def test_what_cannot_be_said_is_said_so() -> None:
    first, second, labels = trained(9, 2, 40)
    with pytest.raises(UndefinedMetric, match="rank every patient alike"):
        read(first, first, labels).interval()
    with pytest.raises(UndefinedMetric, match="two positive studies, not 1"):
        read(first, second, np.where(np.arange(40) == np.flatnonzero(labels)[0], 1, 0))
    with pytest.raises(DataError, match="from the same seeds"):
        reader_sums(first, second[:1], labels, [ScoreHistogram.empty()] * 2, [ScoreHistogram.empty()])
