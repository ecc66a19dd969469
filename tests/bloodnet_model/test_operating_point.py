import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.operating_point import Share, operating_point, rates_at


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
    assert rates_at(nobody, 0.0).specificity.count == 0
