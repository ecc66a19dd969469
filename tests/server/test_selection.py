"""The best round, and when to stop: from lines as they stand in rounds.jsonl."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.labels import CLASSES
from server.selection import METRICS, best, selection, stop_now, value
from server.selection import values as values_of

Values = list[float | None]


def line(number: int, auc: float | None, **validation: Any) -> dict[str, Any]:
    pooled = {kind: {"auc": None, "auprc": None} for kind in CLASSES} | {"any": {"auc": auc, "auprc": 0.4}}
    return {"round": number, "validation": {"pooled": pooled, "within_hospital": None, "dice": None} | validation}


def lines_of(*values: float | None) -> list[dict[str, Any]]:
    return [line(number, auc) for number, auc in enumerate(values, start=1)]


def test_each_metric_is_read_from_its_place() -> None:
    pooled = {kind: {"auc": 0.6 + place / 100, "auprc": 0.3} for place, kind in enumerate(CLASSES)}
    one = line(1, None, pooled=pooled, within_hospital={"auc": 0.7}, dice=0.5)
    found = {metric: value(one, metric) for metric in METRICS}
    assert found == {
        "auc": 0.6,
        "auprc": 0.3,
        "within-hospital-auc": 0.7,
        "mean-class-auc": pytest.approx(0.63),  # of the five kinds, without any
        "dice": 0.5,
    }


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_not_there_has_no_value(metric: str) -> None:
    older: dict[str, Any] = {"round": 1, "validation": {"pooled": {kind: {"auc": None} for kind in CLASSES}}}
    assert value(older, metric) is None
    assert value(line(1, float("nan"), dice=float("nan")), "auc") is None


def test_the_mean_of_kinds_leaves_out_the_undefined() -> None:
    one = line(1, 0.9)
    one["validation"]["pooled"]["subdural"]["auc"] = 0.8
    one["validation"]["pooled"]["epidural"]["auc"] = 0.6
    assert value(one, "mean-class-auc") == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.5, 0.8, 0.7], (2, 0.8)), ([0.8, 0.8], (1, 0.8)), ([None, 0.4, None], (2, 0.4)), ([None], None), ([], None)],
)
def test_the_best_is_the_earliest_of_equals(values: Values, expected: tuple[int, float] | None) -> None:
    assert best(values_of(lines_of(*values), "auc")) == expected


@pytest.mark.parametrize(
    ("values", "patience", "stops"),
    [
        ([0.5, 0.8, 0.7], 2, False),
        ([0.5, 0.8, 0.7, 0.6], 2, True),
        ([0.5, 0.8, 0.7, 0.9], 2, False),
        ([0.8, 0.8, 0.8], 2, True),  # equal is no improvement
        ([0.8, None, None], 2, True),
        ([None, None], 2, True),
        ([None], 2, False),
        ([0.8, 0.1, 0.1, 0.1, 0.1], 0, False),
        ([], 1, False),
    ],
)
def test_when_to_stop(values: Values, patience: int, stops: bool) -> None:
    assert stop_now(values_of(lines_of(*values), "auc"), patience) is stops


@given(st.lists(st.none() | st.sampled_from([0.5, 0.6, 0.7]), max_size=12), st.integers(1, 4))
def test_a_run_stops_once_and_decides_alike_from_its_file(values: Values, patience: int) -> None:
    """Against the plain counter that a loop would keep."""
    without, height = 0, -1.0
    for number, auc in enumerate(values, start=1):
        improved = auc is not None and auc > height
        without, height = (0, auc or 0.0) if improved else (without + 1, height)
        lines = lines_of(*values[:number])
        assert stop_now(values_of(lines, "auc"), patience) == (without >= patience)
        assert stop_now(values_of(json.loads(json.dumps(lines)), "auc"), patience) == (without >= patience)


def test_the_entry_has_both_and_says_which() -> None:
    found = selection(
        values_of(lines_of(0.5, 0.8, 0.7, 0.6), "auc"), "auc", patience=2, planned_rounds=9, chosen="best"
    )
    assert found is not None
    assert found.model_dump() == {
        "metric": "auc",
        "chosen": "best",
        "last": {"round": 4, "value": 0.6},
        "best": {"round": 2, "value": 0.8},
        "stopped_early": True,
        "patience": 2,
        "planned_rounds": 9,
    }


def test_a_run_of_all_its_rounds_did_not_stop_early() -> None:
    found = selection(values_of(lines_of(0.8, 0.7, 0.6), "auc"), "auc", patience=2, planned_rounds=3, chosen="last")
    assert found is not None
    assert not found.stopped_early


def test_without_a_best_the_last_is_chosen() -> None:
    found = selection(values_of(lines_of(None, None), "auc"), "auc", patience=0, planned_rounds=3, chosen="best")
    assert found is not None
    assert (found.chosen, found.best, found.last.value) == ("last", None, None)
    assert selection({}, "auc", patience=0, planned_rounds=3, chosen="best") is None
