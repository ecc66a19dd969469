"""Random effects over hospitals, by hand and where the truth is known."""

import json
import math

import numpy as np
import pytest
from scipy.special import ndtri

from bloodnet_model.errors import UndefinedMetric
from bloodnet_model.run_metrics import WithinHospital
from bloodnet_model.score_histogram import ScoreHistogram
from bloodnet_model.within_hospital import between_variance, within_hospital


def hospital(rng: np.random.Generator, auc: float, each: int = 60) -> ScoreHistogram:
    """Patients of a hospital whose own AUC is `auc`: normal scores, moved apart by sqrt(2) times its quantile."""
    labels = np.repeat([0, 1], each)
    logits = rng.normal(labels * math.sqrt(2) * ndtri(auc) + rng.normal())  # each hospital's scores lie elsewhere
    return ScoreHistogram.from_scores(1 / (1 + np.exp(-logits)), labels)


def logit(share: float) -> float:
    return math.log(share / (1 - share))


def test_variance_between_hospitals_by_hand() -> None:
    # Weights 1, 2, 1 about the mean 2: Q = 4 + 0 + 4 = 8, two degrees of freedom, C = 4 - 6/4.
    effects, variances = np.array([0.0, 2.0, 4.0]), np.array([1.0, 0.5, 1.0])
    assert between_variance(effects, variances) == pytest.approx((8 - 2) / 2.5)
    assert between_variance(np.array([1.0, 1.1]), np.array([1.0, 1.0])) == 0


def test_two_hospitals_by_hand() -> None:
    """Both have AUC 5/6 and the same variance: the mean is it, tau is 0, and the scatter of 0 counts as 1."""
    one = ScoreHistogram.from_scores([0.9, 0.8, 0.4, 0.6, 0.1], [1, 1, 1, 0, 0])
    variance = one.delong_variance() / (5 / 36) ** 2
    reach = 12.7062047362 * math.sqrt(variance / 2)  # t with one degree of freedom
    record = within_hospital({"A": one, "B": one})
    assert record["auc"] == pytest.approx(5 / 6)
    assert logit(record["auc_high"]) == pytest.approx(math.log(5) + reach)
    assert logit(record["auc_low"]) == pytest.approx(math.log(5) - reach)
    assert (record["tau"], record["hospitals"], record["undefined"]) == (0, 2, None)


def test_hospitals_that_differ_by_hand() -> None:
    hospitals = [hospital(np.random.default_rng(seed), auc, 200) for seed, auc in enumerate((0.6, 0.8, 0.97))]
    effects = np.array([logit(one.auc()) for one in hospitals])
    variances = np.array([one.delong_variance() / (one.auc() * (1 - one.auc())) ** 2 for one in hospitals])
    tau_squared = between_variance(effects, variances)
    weights = 1 / (variances + tau_squared)
    mean = (weights * effects).sum() / weights.sum()
    scatter = (weights * (effects - mean) ** 2).sum() / 2
    reach = 4.30265273 * math.sqrt(max(1, scatter) / weights.sum())  # t with two degrees of freedom
    record = within_hospital(dict(zip("ABC", hospitals, strict=True)))
    assert record["tau"] == pytest.approx(math.sqrt(tau_squared))
    assert record["tau"] > 0.5
    assert logit(record["auc"]) == pytest.approx(mean)
    assert logit(record["auc_low"]) == pytest.approx(mean - reach)
    assert logit(record["auc_high"]) == pytest.approx(mean + reach)


@pytest.mark.parametrize("tau", [0.0, 0.5])
def test_the_interval_covers_a_typical_hospital(tau: float) -> None:
    """Of 200 federations of 8 hospitals, about 190 intervals should hold the AUC of a typical hospital."""
    rng, typical, covered = np.random.default_rng(5), 0.85, 0
    for _ in range(200):
        aucs = 1 / (1 + np.exp(-(logit(typical) + tau * rng.normal(size=8))))
        record = within_hospital({str(n): hospital(rng, auc) for n, auc in enumerate(aucs)})
        covered += record["auc_low"] <= typical <= record["auc_high"]
    assert 180 <= covered <= 199


def test_hospitals_without_an_interval_are_left_out() -> None:
    rng = np.random.default_rng(0)
    good = {"A": hospital(rng, 0.8), "B": hospital(rng, 0.8)}
    separated = ScoreHistogram.from_scores([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    useless = {"C": separated, "D": ScoreHistogram.from_scores([0.1], [1]), "E": ScoreHistogram.empty()}
    assert within_hospital(good | useless) == within_hospital(good)
    record = WithinHospital(**within_hospital({"A": good["A"]} | useless))
    assert (record.auc, record.auc_low, record.tau, record.hospitals) == (None, None, None, 1)
    assert "1 of 4 hospitals have an AUC with an interval, and it takes 2" in str(record.undefined)
    assert within_hospital({})["hospitals"] == 0
    WithinHospital(**json.loads(json.dumps(within_hospital(good))))
    with pytest.raises(UndefinedMetric):
        separated.auc_interval()
