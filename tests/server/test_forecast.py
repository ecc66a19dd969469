"""When a run ends, whom it waits for, and which deadline would do."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.run_metrics import NO_ANSWER, Forecast
from server.forecast import forecast, forecast_sentence, proposed_deadline_s, usually_late

NOW = datetime(2026, 11, 25, 14, 0, tzinfo=timezone(timedelta(hours=1)))


def line(number: int, seconds: float = 120.0, **answered_s: float | None) -> dict[str, Any]:
    """A round; a site whose seconds are None said nothing."""
    sites = {
        site: {"status": "refused", "reason": NO_ANSWER} if took is None else {"status": "ok", "answered_s": took}
        for site, took in answered_s.items()
    }
    return {"round": number, "seconds": seconds, "sites": sites}


def test_a_run_of_equal_rounds() -> None:
    lines = [line(number, a=30.0, b=41.0) for number in range(1, 5)]
    found = forecast(lines, 20, NOW)
    assert found == Forecast(
        seconds_a_round=120, ends_at="2026-11-25T14:32:00+01:00", slowest="b", slowest_s=41, deadline_s=180
    )
    assert forecast_sentence(found, NOW) == (
        "ends about 14:32 (2 min a round); the slowest site is b with 41 s; a deadline of 3 minutes would do"
    )


def test_nothing_is_foretold_before_there_is_a_round() -> None:
    assert forecast([], 8, NOW) is None


def test_first_rounds_and_one_odd_round_move_nothing() -> None:
    slow_start = [line(1, 9000, a=8000.0), line(2, 5000, a=4000.0)]
    recent = [line(number, 100, a=10.0) for number in range(3, 8)]
    recent[2] = line(5, 3000, a=2500.0)
    found = forecast([*slow_start, *recent], 9, NOW)
    assert found is not None
    assert (found.seconds_a_round, found.slowest_s) == (100, 10)


def test_done_is_not_foretold() -> None:
    found = forecast([line(1, a=5.0), line(2, a=5.0)], 2, NOW)
    assert found is not None
    assert found.ends_at is None
    assert forecast_sentence(found, NOW) == (
        "2 min a round; the slowest site is a with 5.0 s; a deadline of 20 seconds would do"
    )


def test_another_day_is_named() -> None:
    found = forecast([line(1, 36_000.0)], 5, NOW)
    assert found is not None
    assert forecast_sentence(found, NOW) == "ends about Fri 27 Nov 06:00 (10 h a round)"


def test_who_was_not_asked_says_nothing() -> None:
    one = line(1, a=5.0)
    one["sites"] |= {"b": {"status": "not-asked", "answered_s": 900.0}, "c": {"status": "set-aside"}}
    found = forecast([one], 3, NOW)
    assert found is not None
    assert found.slowest == "a"
    assert usually_late([one], 60) == {}


def test_a_refused_answer_is_an_answer() -> None:
    one = line(1, a=5.0)
    one["sites"]["b"] = {"status": "refused", "reason": "not-finite", "answered_s": 50.0}
    found = forecast([one], 3, NOW)
    assert found is not None
    assert (found.slowest, found.slowest_s) == ("b", 50)


def test_the_wait_for_no_answer_is_not_an_answers_time() -> None:
    one = line(1, a=5.0)
    one["sites"]["b"] = {"status": "refused", "reason": NO_ANSWER, "answered_s": 60.0}
    found = forecast([one], 3, NOW)
    assert found is not None
    assert found.slowest == "a"


def test_older_lines_name_no_slowest() -> None:
    older = {"round": 1, "seconds": 60.0, "sites": {"a": {"status": "ok", "seconds": 30.0}}}
    found = forecast([older], 2, NOW)
    assert found == Forecast(
        seconds_a_round=60, ends_at="2026-11-25T14:01:00+01:00", slowest=None, slowest_s=None, deadline_s=None
    )


def test_usually_late_is_most_of_the_last_rounds() -> None:
    lines = [line(1, a=None, b=None, c=5.0)] * 9 + [
        line(2, a=5.0, b=5.0, c=None),
        line(3, a=5.0, b=None, c=70.0),
        line(4, a=5.0, b=None, c=70.0),
        line(5, a=5.0, b=None, c=5.0),
        line(6, a=None, b=5.0, c=5.0),
    ]
    assert usually_late(lines, 60) == {"b": (3, 5), "c": (3, 5)}
    assert usually_late(lines, 80) == {"b": (3, 5)}


def test_half_is_not_usually() -> None:
    assert usually_late([line(1, a=None), line(2, a=5.0)], 60) == {}


@pytest.mark.parametrize(
    ("usual_s", "deadline_s"),
    [(0.01, 10), (3.4, 20), (10, 30), (20, 60), (21, 120), (700, 2700), (28_800, 86_400), (28_801, 172_800)],
)
def test_a_deadline_as_a_person_writes_it(usual_s: float, deadline_s: float) -> None:
    assert proposed_deadline_s(usual_s) == deadline_s


@given(st.floats(0.001, 10**6), st.floats(0.001, 10**6))
def test_the_deadline_is_generous_and_rises(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert proposed_deadline_s(low) <= proposed_deadline_s(high)
    assert proposed_deadline_s(high) >= 3 * high


@given(st.lists(st.floats(0.1, 10_000), min_size=1, max_size=12), st.integers(0, 30))
def test_the_end_is_left_rounds_away(seconds: list[float], left: int) -> None:
    lines = [line(number, took) for number, took in enumerate(seconds, start=1)]
    found = forecast(lines, len(lines) + left, datetime(2026, 1, 1, tzinfo=UTC))
    assert found is not None
    assert min(seconds[-5:]) <= found.seconds_a_round <= max(seconds[-5:])
    if left:
        away = datetime.fromisoformat(found.ends_at or "") - datetime(2026, 1, 1, tzinfo=UTC)
        assert away.total_seconds() == pytest.approx(left * found.seconds_a_round, abs=1)
    else:
        assert found.ends_at is None
