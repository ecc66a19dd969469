"""The update gate by hand: what an honest update may be, what is refused and under which name."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bloodnet_model.batches import epochs_of
from bloodnet_model.errors import UnusableAnswer
from bloodnet_model.settings import model_settings
from strategies import records
from strategies.records import RoundPlan, Update
from strategies.update_gate import (
    REFUSALS,
    Expected,
    checked_update,
    fingerprint,
    l2_norm,
    outlying,
    set_aside,
)

MODEL = model_settings("tiny")  # two studies a step
PREVIOUS = np.array([1, 2, 3], np.float32)
WEIGHTS = np.array([1, 5, 7], np.float32)
GOOD = Update(
    weights=WEIGHTS,
    studies=5,
    steps=6,
    losses=(1.0, 0.5, 0.3, 0.2),
    seconds=2.0,
    round=4,
    mask_slices=40,
)
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "update-gate.md"


def plan(**changes: int) -> RoundPlan:
    return RoundPlan(run="r", seed=0, round=4, total_rounds=8, local_epochs=2, model=MODEL).model_copy(update=changes)


def expected(**changes: object) -> Expected:
    return replace(Expected(plan(), PREVIOUS, declared_studies=5, longest_s=60), **changes)  # type: ignore[arg-type]


def refusal(content: RecordDict, what: Expected | None = None) -> str:
    with pytest.raises(UnusableAnswer) as refused:
        checked_update(content, what or expected())
    assert refused.value.reason in REFUSALS
    return refused.value.reason


def changed(**changes: object) -> RecordDict:
    return records.pack_update(replace(GOOD, **changes))  # type: ignore[arg-type]


def with_array(array: Array) -> RecordDict:
    content = records.pack_update(GOOD)
    (key,) = content.array_records[records.ARRAYS]
    return RecordDict({**content, records.ARRAYS: ArrayRecord({key: array})})


def test_an_honest_update_passes_with_the_norm_of_its_change() -> None:
    update, norm, known_by = checked_update(records.pack_update(GOOD), expected())
    assert (norm, known_by) == (5.0, fingerprint(GOOD))
    assert update.weights[:].tolist() == [1, 5, 7]
    assert (update.studies, update.steps, update.losses, update.seconds) == (5, 6, GOOD.losses, 2.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights": np.array([1, np.nan, 3], np.float32)}, "not-finite"),
        ({"weights": np.array([1, 2, -np.inf], np.float32)}, "not-finite"),
        ({"losses": (1.0, math.nan, 0.0, 0.0)}, "not-finite"),
        ({"seconds": math.inf}, "not-finite"),
        ({"weights": np.zeros(4, np.float32)}, "wrong-shape"),
        ({"round": 3}, "stale-round"),
        ({"round": 5}, "stale-round"),
        ({"studies": 0, "steps": 0}, "zero-studies"),
        ({"studies": -5}, "zero-studies"),
        ({"studies": 6}, "too-many-studies"),
        ({"studies": 10**9}, "too-many-studies"),
        ({"steps": 5}, "wrong-steps"),
        ({"steps": 0}, "wrong-steps"),
        ({"studies": 4}, "wrong-steps"),
        ({"mask_slices": -1}, "wrong-slices"),
        ({"mask_slices": 10_001}, "wrong-slices"),
        ({"losses": (1.0, 0.5, -0.1, 0.2)}, "impossible-loss"),
        ({"losses": (1e9, 0.5, 0.1, 0.2)}, "impossible-loss"),
        ({"seconds": -1.0}, "impossible-seconds"),
        ({"seconds": 61.0}, "impossible-seconds"),
        ({"weights": PREVIOUS}, "unchanged"),
    ],
)
def test_claims_that_cannot_be_are_refused_by_name(changes: dict[str, object], reason: str) -> None:
    assert refusal(changed(**changes)) == reason


def test_limits_are_within_what_is_allowed() -> None:
    for changes in ({"mask_slices": 10_000}, {"mask_slices": 0}, {"seconds": 60.0}, {"losses": (0.0, 0.0, 0.0, 0.0)}):
        checked_update(changed(**changes), expected())
    checked_update(records.pack_update(GOOD), expected(max_norm=5.0))
    assert refusal(records.pack_update(GOOD), expected(max_norm=4.999)) == "norm-too-large"


@given(st.integers(1, 40), st.integers(1, 4))
def test_the_steps_expected_are_those_that_a_site_makes(studies: int, epochs: int) -> None:
    made = list(epochs_of(np.zeros(studies, np.int8), epochs, MODEL.training, np.random.default_rng(0)))
    assert expected(plan=plan(local_epochs=epochs)).steps(studies) == len(made)
    assert expected(plan=plan(local_epochs=epochs, local_steps=3)).steps(studies) == min(3, len(made))


def _as(dtype: str) -> Callable[[], Array]:
    return lambda: Array(WEIGHTS.astype(dtype))


def _claimed(weights: NDArray[np.generic] | None = None, **claims: object) -> Callable[[], Array]:
    """An array whose description says something else than its bytes."""

    def make() -> Array:
        array = Array(np.asarray(WEIGHTS if weights is None else weights))
        for name, value in claims.items():
            setattr(array, name, value)
        return array

    return make


PICKLE = (
    b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R."
)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (_as("float64"), "wrong-type"),
        (_as("float16"), "wrong-type"),
        (_as("int32"), "wrong-type"),
        (_as(">f4"), "wrong-type"),
        (_claimed(WEIGHTS.astype("float64"), dtype="float32"), "not-an-array"),
        (_claimed(WEIGHTS.astype("int32"), dtype="float32"), "not-an-array"),
        (_claimed(WEIGHTS[None]), "wrong-shape"),
        (_claimed(np.zeros(10, np.float32), shape=(3,)), "not-an-array"),
        (_claimed(shape=(3, 1)), "wrong-shape"),
        (_claimed(stype="pickle"), "not-an-array"),
        (_claimed(data=PICKLE), "not-an-array"),
        (_claimed(data=b""), "not-an-array"),
        (_claimed(data=b"PK\x03\x04" + bytes(100)), "not-an-array"),
        (_claimed(data=Array(WEIGHTS).data[:-1]), "not-an-array"),
        (_claimed(data=Array(WEIGHTS).data + b"\x00"), "not-an-array"),
        (_claimed(data=bytes(10_000)), "too-large"),
        (lambda: Array(np.zeros(10**6, np.float32)), "too-large"),
    ],
)
def test_weights_that_are_not_what_they_should_be_are_not_unpacked(array: Callable[[], Array], reason: str) -> None:
    assert refusal(with_array(array())) == reason


def test_a_header_that_claims_a_petabyte_is_not_believed() -> None:
    honest = Array(WEIGHTS).data
    assert honest.count(b"(3,), }        ") == 1
    lying = honest.replace(b"(3,), }        ", b"(300000000,), }"[:15])
    assert refusal(with_array(_claimed(data=lying)())) == "not-an-array"


def _records(**changes: object) -> RecordDict:
    """A good update with records replaced, or removed where None."""
    content = {**records.pack_update(GOOD), **changes}
    return RecordDict({name: record for name, record in content.items() if record is not None})  # type: ignore[misc]


def _metrics(**changes: object) -> RecordDict:
    content = records.pack_update(GOOD)
    metrics = {**content.metric_records[records.METRICS], **{key.replace("_", "-"): of for key, of in changes.items()}}
    known = {key: value for key, value in metrics.items() if value is not None}
    return RecordDict({**content, records.METRICS: MetricRecord(known)})  # type: ignore[arg-type]


def test_records_and_keys_are_those_of_an_update_and_no_others() -> None:
    arrays = records.pack_update(GOOD).array_records[records.ARRAYS]
    (weights,) = arrays.values()
    for content, reason in (
        (RecordDict(), "missing-records"),
        (records.refusal("ok"), "missing-records"),
        (_records(metrics=None), "missing-records"),
        (_records(arrays=None), "missing-records"),
        (_records(arrays=ArrayRecord()), "missing-records"),
        (_records(metrics=MetricRecord()), "missing-records"),
        (_metrics(steps=None), "missing-records"),
        (_records(more=ConfigRecord({"path": "/data"})), "unknown-records"),
        (_records(arrays=ArrayRecord({**arrays, "more": weights})), "unknown-records"),
        (_records(status=ConfigRecord({"code": "ok", "text": "x"})), "unknown-records"),
        (_metrics(more=1), "unknown-records"),
        (_records(metrics=ConfigRecord({"loss": "low"})), "wrong-type"),
        (_records(arrays=ConfigRecord({"weights": b"\x80\x04N."})), "wrong-type"),
        (_metrics(steps=6.0), "wrong-type"),
        (_metrics(num_examples=[5]), "wrong-type"),
        (_metrics(loss=[1.0]), "wrong-type"),
    ):
        assert refusal(content) == reason, content


def test_the_change_of_a_control_is_there_where_it_is_asked_for_and_only_there() -> None:
    control = np.array([1, -1, 2], np.float32)
    scaffold = expected(control=True)
    update = checked_update(changed(control_change=control), scaffold).update
    assert update.control_change is not None
    assert update.control_change[:].tolist() == [1, -1, 2]
    assert refusal(changed(control_change=control)) == "unknown-records"
    assert refusal(records.pack_update(GOOD), scaffold) == "missing-records"
    assert refusal(changed(control_change=control[:2]), scaffold) == "wrong-shape"
    assert refusal(changed(control_change=control * np.float32(np.inf)), scaffold) == "not-finite"


def test_a_whole_number_stands_for_a_loss() -> None:
    assert checked_update(_metrics(loss=1, seconds=2), expected()).update.losses[0] == 1


def test_an_earlier_update_of_the_site_is_a_replay() -> None:
    earlier = frozenset({fingerprint(GOOD)})
    assert refusal(changed(studies=3, steps=4), expected(earlier=earlier)) == "replayed"
    checked_update(changed(weights=WEIGHTS + 1), expected(earlier=earlier))


def test_the_norm_is_that_of_the_difference_in_double_precision() -> None:
    rng = np.random.default_rng(0)
    previous = (4096 + rng.normal(size=300_001)).astype(np.float32)
    weights = previous + rng.normal(size=previous.size).astype(np.float32)
    by_numpy = float(np.linalg.norm(weights.astype(np.float64) - previous))
    assert l2_norm(weights, previous) == pytest.approx(by_numpy, rel=1e-12)
    assert l2_norm(weights) == pytest.approx(float(np.linalg.norm(weights.astype(np.float64))), rel=1e-12)
    largest = np.full(2, np.finfo(np.float32).max)
    assert math.isfinite(l2_norm(largest, -largest))


def test_outlying_by_hand() -> None:
    norms = {"a": 1.0, "b": 1.2, "c": 0.8, "d": 12.0}
    steps = dict.fromkeys(norms, 4)
    assert outlying(norms, steps, 10) == {"d"}
    assert outlying(norms, steps, 12.5) == frozenset()
    assert outlying(norms, {**steps, "d": 400}, 10) == frozenset()  # 12 / 20 against 1 / 2: it made 100 times the steps
    assert outlying({**norms, "d": 0.5}, {**dict.fromkeys("abc", 100), "d": 1}, 10) == frozenset()  # 0.5 against 0.1
    assert outlying(norms, steps, 0) == frozenset()
    assert outlying({"a": 1.0, "d": 1000.0}, steps, 10) == frozenset()  # which of two lies, nobody can tell


@given(st.lists(st.floats(0.5, 2), min_size=1, max_size=8), st.data())
def test_up_to_half_are_told_whatever_they_do_together(honest: list[float], data: st.DataObject) -> None:
    scaled = data.draw(st.lists(st.floats(100, 1e9), min_size=1, max_size=len(honest)))
    norms = {f"h{i}": norm for i, norm in enumerate(honest)} | {f"p{i}": norm for i, norm in enumerate(scaled)}
    told = outlying(norms, dict.fromkeys(norms, 9), 10)
    assert told == (set(norms) - {f"h{i}" for i in range(len(honest))} if len(norms) > 2 else set())


def test_the_median_is_of_the_others_alone() -> None:
    norms = {"a": 1.0, "b": 3.0, "c": 25.0}
    steps = dict.fromkeys(norms, 1)
    assert 10 * median(norms.values()) > 25
    assert outlying(norms, steps, 10) == {"c"}


@pytest.mark.parametrize(
    ("history", "aside"),
    [
        ([], set()),
        ([{"a": "not-finite", "b": ""}] * 2, set()),
        ([{"a": "not-finite", "b": ""}] * 3, {"a"}),
        ([{"a": "not-finite"}, {"a": "wrong-steps"}, {"a": "replayed"}], {"a"}),
        ([{"a": "not-finite"}, {"a": ""}, {"a": "not-finite"}, {"a": "not-finite"}], set()),
        ([{"a": "no-answer"}] * 9, set()),
        ([{"a": "no-studies"}] * 3, set()),
        ([{"a": "not-finite"}, {"a": "node-error"}, {}, {"a": "not-finite"}, {"a": "not-finite"}], {"a"}),
        ([*[{"a": "not-finite"}] * 3, {"b": ""}, {"b": ""}], {"a"}),
        ([*[{"a": "not-finite"}] * 3, {"a": ""}], set()),
        ([*[{"a": "not-finite"}] * 3, {"a": ""}, *[{"a": "not-finite"}] * 2], set()),
        ([*[{"a": "not-finite"}] * 3, {"a": ""}, *[{"a": "not-finite"}] * 3], {"a"}),
    ],
)
def test_three_refusals_in_a_row_set_a_site_aside(history: list[Mapping[str, str]], aside: set[str]) -> None:
    assert set_aside(history) == aside


def test_the_document_has_every_reason_in_its_own_words() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(code, meaning.replace("`", "")) for code, meaning in rows if code in REFUSALS] == [
        (code, meaning.replace("`", "")) for code, meaning in REFUSALS.items()
    ]
