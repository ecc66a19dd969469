import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.operating_point import (
    Rates,
    Share,
    operating_point,
    operating_point_for_specificity,
    predictive_values,
    rates_at,
)
from bloodnet_model.run_metrics import RatesRecord
from bloodnet_model.score_bins import bin_edges


@given(st.integers(0, 2**31), st.sampled_from([0.5, 0.8, 0.9, 0.95, 1.0]))
def test_the_threshold_is_the_highest_that_flags_enough(seed: int, wanted: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, 2, 60), [0, 1])
    scores = rng.random(62)
    histogram = ScoreHistogram.from_scores(scores, labels)
    point = operating_point(histogram, wanted)
    flagged = scores >= point.threshold
    assert point.rates.sensitivity.count == flagged[labels == 1].sum()
    assert point.rates.specificity.count == (~flagged)[labels == 0].sum()
    assert flagged[labels == 1].mean() >= wanted - 1e-9
    higher = np.nextafter(scores[flagged & (labels == 1)].min(), 1) + 0.02  # past the lowest flagged and its bin
    assert (scores >= higher)[labels == 1].mean() < wanted


@given(st.integers(0, 2**31), st.sampled_from([0.05, 0.5, 0.8, 0.9, 0.95, 1.0]))
def test_the_threshold_for_a_specificity_is_the_lowest_that_spares_enough(seed: int, wanted: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, 2, 60), [0, 1])
    scores = rng.random(62)
    point = operating_point_for_specificity(ScoreHistogram.from_scores(scores, labels), wanted)
    spared = (scores < point.threshold)[labels == 0]
    assert point.rates.specificity == Share(spared.sum(), (labels == 0).sum())
    assert point.rates.sensitivity.count == (scores >= point.threshold)[labels == 1].sum()
    assert spared.mean() >= wanted - 1e-9
    edges = bin_edges()
    lower = edges[np.searchsorted(edges, point.threshold) - 1]
    assert (scores < lower)[labels == 0].mean() < wanted - 1e-9
    assert point.wanted == wanted


def test_55_of_a_hundred_are_55_percent() -> None:
    scores, labels = np.repeat(np.arange(1, 101) / 101, 2), np.tile([0, 1], 100)
    histogram = ScoreHistogram.from_scores(scores, labels)
    assert 0.55 * 100 > 55  # to a computer
    assert operating_point_for_specificity(histogram, 0.55).rates.specificity == Share(55, 100)
    assert operating_point(histogram, 0.55).rates.sensitivity == Share(55, 100)


def test_predictive_values_by_hand() -> None:
    rates = Rates(sensitivity=Share(9, 10), specificity=Share(60, 80))
    assert (rates.ppv, rates.npv) == (Share(9, 29), Share(60, 61))
    # Of 1,000 patients at 2 %: 18 true and 245 false flags; 735 rightly spared, 2 missed.
    assert predictive_values(rates, 0.02) == pytest.approx((18 / 263, 735 / 737))
    ppv, npv = predictive_values(rates, 1 / 9)  # as common as among the counted
    assert (ppv, npv) == pytest.approx((rates.ppv.value, rates.npv.value))
    nobody_flagged = Rates(Share(0, 3), Share(4, 4))
    assert predictive_values(nobody_flagged, 0.1) == pytest.approx((None, 0.9))
    assert predictive_values(Rates(Share(3, 3), Share(0, 4)), 0.1) == pytest.approx((0.1, None))
    assert predictive_values(Rates(Share(0, 0), Share(4, 4)), 0.1) == (None, None)


def test_rates_as_a_record() -> None:
    record = RatesRecord(**Rates(Share(0, 0), Share(60, 80)).as_record())
    assert (record.sensitivity.of, record.sensitivity.value, record.sensitivity.low) == (0, None, None)
    assert (record.specificity.count, record.specificity.value) == (60, 0.75)
    assert (record.specificity.low, record.specificity.high) == Share(60, 80).interval()
    assert (record.ppv.count, record.ppv.of, record.npv.count, record.npv.of) == (0, 20, 60, 60)


def test_wilson_interval_by_hand() -> None:
    assert Share(42, 45).interval() == pytest.approx((0.8214, 0.9771), abs=1e-4)
    assert Share(0, 10).interval() == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert Share(5, 0).value is None
    with pytest.raises(UndefinedMetric):
        Share(0, 0).interval()


def test_what_cannot_be_chosen_is_said() -> None:
    nobody = ScoreHistogram.from_scores([0.2, 0.3], [0, 0])
    with pytest.raises(UndefinedMetric, match="no positive study among 2"):
        operating_point(nobody, 0.9)
    with pytest.raises(DataError, match="is no share of patients"):
        operating_point(nobody, 95)
    with pytest.raises(DataError, match="is no share of patients"):
        operating_point_for_specificity(nobody, 0)
    with pytest.raises(UndefinedMetric, match="no negative study among 1"):
        operating_point_for_specificity(ScoreHistogram.from_scores([0.2], [1]), 0.9)
    with pytest.raises(UndefinedMetric, match="2 of 3 negatives score in the highest bin"):
        operating_point_for_specificity(ScoreHistogram.from_scores([0.2, 1, 1], [0, 0, 0]), 0.5)
    with pytest.raises(DataError, match="is no share of patients"):
        predictive_values(rates_at(nobody, 0.0), 2)
    assert rates_at(nobody, 0.0).specificity.count == 0
