"""Sums of whole numbers against NumPy on all studies, and the sums that no studies could have."""

import json
from dataclasses import asdict
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.errors import DataError
from bloodnet_model.run_metrics import Segmentation
from bloodnet_model.segmentation_sums import SegmentationSums

STUDY = st.tuples(st.integers(0, 1_000_000), st.integers(0, 10**8), st.integers(-(10**9), 10**9))


def of_one(study: tuple[int, int, int], called: bool = False) -> SegmentationSums:
    dice, outlined, difference = study
    empty = outlined == 0
    return SegmentationSums(
        dice_millionths=dice,
        dice_studies=1,
        false_positive_ul=outlined,
        negatives=1,
        difference_ul=difference,
        difference_squares_ul2=difference**2,
        volumes=1,
        called=int(called),
        called_without_mask=int(called and empty),
        not_called=int(not called),
        mask_without_call=int(not called and not empty),
    )


@given(st.lists(STUDY, min_size=2, max_size=20), st.randoms(use_true_random=False))
def test_merged_sums_give_the_figures_of_all_studies(studies: list[tuple[int, int, int]], shuffler: object) -> None:
    merged = reduce(add, map(of_one, studies), SegmentationSums())
    shuffled = list(studies)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sum(map(of_one, shuffled), start=SegmentationSums()) == merged
    record = Segmentation(**merged.as_record(0.4))
    dice, outlined, differences = np.array(studies, np.float64).T
    assert record.dice == pytest.approx(dice.mean() / 1e6)
    assert record.false_positive_ml == pytest.approx(outlined.mean() / 1e3)
    assert record.volume is not None
    assert record.volume.low_ml is not None
    assert record.volume.high_ml is not None
    assert record.volume.mean_difference_ml == pytest.approx(differences.mean() / 1e3, abs=1e-6)
    reach = 1.96 * differences.std(ddof=1) / 1e3
    assert record.volume.high_ml - record.volume.low_ml == pytest.approx(2 * reach, abs=1e-3)
    assert (record.dice_studies, record.negatives, record.volume.studies) == (len(studies),) * 3


def test_heads_are_compared_where_a_threshold_is_given() -> None:
    sums = of_one((0, 0, 0), called=True) + of_one((0, 5, 0), called=True) + of_one((0, 5, 0))
    assert (sums.called, sums.called_without_mask, sums.not_called, sums.mask_without_call) == (2, 1, 1, 1)
    assert sums.as_record(0.25)["threshold"] == 0.25
    assert sums.as_record(0.25)["called_without_mask"] == 1
    without = sums.as_record(None)
    assert all(without[name] is None for name in ("threshold", "called", "called_without_mask", "not_called"))
    json.dumps(sums.as_record(0.25))


def test_nobody_has_no_figures() -> None:
    record = Segmentation(**SegmentationSums().as_record(None))
    assert (record.dice, record.false_positive_ml, record.volume) == (None, None, None)
    volume = of_one((0, 0, -1500)).as_record(None)["volume"]
    assert volume == {"studies": 1, "mean_difference_ml": -1.5, "low_ml": None, "high_ml": None}


def test_squares_beyond_64_bits_stay_exact() -> None:
    four_m3 = np.int64(4_000_000_000)
    one = SegmentationSums(difference_ul=four_m3, difference_squares_ul2=16 * 10**18, volumes=1)  # type: ignore[arg-type]
    merged = sum([one] * 3, start=SegmentationSums())
    assert merged.difference_squares_ul2 == 48 * 10**18
    assert all(type(value) is int for value in asdict(merged).values())
    assert merged.as_record(None)["volume"]["low_ml"] == merged.as_record(None)["volume"]["high_ml"] == 4_000_000


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dice_millionths": 2_000_001, "dice_studies": 2}, "a Dice score above 1"),
        ({"negatives": -1}, "negatives below 0"),
        ({"false_positive_ul": 3}, "a false-positive volume of nobody"),
        ({"difference_squares_ul2": 3}, "a volume difference of nobody"),
        ({"difference_ul": 0, "difference_squares_ul2": -1, "volumes": 1}, "difference_squares_ul2 below 0"),
        ({"difference_ul": 4, "difference_squares_ul2": 7, "volumes": 2}, "below what the sum demands"),
        ({"called": 1, "called_without_mask": 2}, "more called_without_mask than called"),
        ({"not_called": 1, "mask_without_call": 2}, "more mask_without_call than not_called"),
        ({"called": 1.0}, "called is 1.0, no whole number"),
        ({"called": "1"}, "called is '1', no whole number"),
    ],
)
def test_sums_that_no_studies_have(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SegmentationSums(**wrong)
