"""The queue, by hand on a few studies and against queueing theory on many."""

from collections.abc import Sequence
from math import factorial

import numpy as np
import pytest
from numpy.typing import NDArray

from simulation.triage_benefit.settings import benefit_settings
from simulation.triage_benefit.worklist import draw_caseload, minutes_to_reading


def waits(
    arrivals: Sequence[float],
    readings: Sequence[float],
    priorities: Sequence[int],
    radiologists: int = 1,
    scoring_minutes: float = 0.0,
) -> list[float]:
    studies = np.array(arrivals, float), np.array(readings, float), np.array(priorities)
    return list(minutes_to_reading(*studies, radiologists, scoring_minutes))


def test_first_come_first_served_by_hand() -> None:
    assert waits([0, 1, 2, 40], [10, 10, 10, 10], [0, 0, 0, 0]) == [0, 9, 18, 0]


def test_the_urgent_one_overtakes_who_waits_but_not_who_is_being_read() -> None:
    assert waits([0, 1, 2], [10, 10, 10], [0, 0, -1]) == [0, 19, 8]


def test_equals_are_read_in_the_order_of_their_arrival() -> None:
    assert waits([0, 1, 2, 3], [10, 10, 10, 10], [0, -5, -5, -7]) == [0, 19, 28, 7]


def test_two_radiologists_share_one_worklist() -> None:
    assert waits([0, 1, 2, 3], [10, 4, 10, 10], [0, 0, 0, -1], radiologists=2) == [0, 0, 8, 2]


def test_a_score_that_is_not_there_yet_moves_nobody() -> None:
    studies = [0, 1, 9.5], [10, 10, 10], [0, 0, -1]
    assert waits(*studies, scoring_minutes=0.1) == [0, 19, 0.5]
    assert waits(*studies, scoring_minutes=1) == [0, 9, 10.5]


def test_a_study_without_a_score_is_read_if_a_radiologist_is_free() -> None:
    assert waits([0, 20], [10, 10], [-1, -1], scoring_minutes=60) == [0, 0]


def test_late_scores_keep_the_order_of_arrival_among_equals() -> None:
    assert waits([0, 1, 2, 3], [10, 10, 10, 10], [-1, -1, 0, -1], scoring_minutes=2) == [0, 9, 28, 17]


@pytest.mark.parametrize("radiologists", [1, 2])
@pytest.mark.parametrize("scoring_minutes", [0, 3])
def test_with_equal_readings_no_order_changes_the_mean(radiologists: int, scoring_minutes: float) -> None:
    rng = np.random.default_rng(1)
    arrivals = np.sort(rng.uniform(0, 500 * 17 / radiologists, 500))
    readings = np.full(500, 15.0)
    plain = minutes_to_reading(arrivals, readings, np.zeros(500, int), radiologists, scoring_minutes)
    sorted_by_score = minutes_to_reading(arrivals, readings, -rng.integers(1, 99, 500), radiologists, scoring_minutes)
    assert plain.mean() > 5
    assert sorted_by_score.mean() == pytest.approx(plain.mean(), rel=1e-12)
    assert sorted_by_score.var() > 1.5 * plain.var()


def erlang_c_wait(per_minute: float, reading_minutes: float, radiologists: int) -> float:
    """Mean wait in M/M/c (Erlang 1917)."""
    offered = per_minute * reading_minutes
    all_busy = offered**radiologists / factorial(radiologists) / (1 - offered / radiologists)
    all_busy /= sum(offered**k / factorial(k) for k in range(radiologists)) + all_busy
    return all_busy * reading_minutes / (radiologists - offered)


@pytest.mark.parametrize("radiologists", [1, 3])
@pytest.mark.parametrize("urgent_share", [0.0, 0.4])
def test_radiologists_wait_for_as_erlang_and_cobham_say(radiologists: int, urgent_share: float) -> None:
    load, rng, means = 0.7, np.random.default_rng(2), []
    for _ in range(24):
        arrivals = np.cumsum(rng.exponential(10 / radiologists / load, 1200))
        urgent = rng.random(1200) < urgent_share
        minutes = minutes_to_reading(arrivals, rng.exponential(10, 1200), -urgent.astype(int), radiologists)[200:]
        means.append([minutes[chosen[200:]].mean() if chosen.any() else 0 for chosen in (urgent, ~urgent)])
    error = np.std(means, axis=0, ddof=1) / np.sqrt(len(means))
    usual = erlang_c_wait(load * radiologists / 10, 10, radiologists)
    others = usual / (1 - urgent_share * load)
    expected = np.array([others * (1 - load) if urgent_share else 0, others])
    assert (error < 0.1 * others).all()
    assert (np.abs(np.mean(means, axis=0) - expected) <= 2.5 * error).all()


def moments(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(values.std())


def test_a_caseload_is_as_the_settings_say() -> None:
    settings = benefit_settings({"arrivals_per_hour": 30, "radiologists": 20, "days": 50, "warm_up_days": 5})
    caseload = draw_caseload(settings, np.random.default_rng(0))
    counted = caseload.arrival_minutes[caseload.counted]
    assert counted.size == pytest.approx(30 * 24 * 50, rel=0.02)
    assert (counted.min(), counted.max()) == pytest.approx((5 * 1440, 55 * 1440), abs=20)
    assert caseload.arrival_minutes.max() == pytest.approx(60 * 1440, abs=20)
    assert moments(np.diff(counted)) == pytest.approx((2, 2), rel=0.03)  # Poisson: exponential gaps
    assert moments(caseload.reading_minutes) == pytest.approx((16, 8), rel=0.03)
    assert caseload.positive.mean() == pytest.approx(0.16, abs=0.01)
    assert moments(caseload.quantile) == pytest.approx((0.5, 12**-0.5), rel=0.02)


def test_reading_times_without_spread_are_all_equal() -> None:
    settings = benefit_settings({"reading_sd_minutes": 0, "days": 2})
    assert draw_caseload(settings, np.random.default_rng(0)).reading_minutes == pytest.approx(16)
