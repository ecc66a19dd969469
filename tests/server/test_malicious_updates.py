"""A corpus of broken and hostile updates against the real round loop, as they come off the wire.

Three honest sites and one that is not. What can be told is refused by name, and the others' model is what it would be
without that site; what cannot be told passes, and a test says so.
"""

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bloodnet_model.run_metrics import SET_ASIDE
from server.rounds import RoundResult
from strategies import records
from strategies.update_gate import IN_A_ROW, REFUSALS
from tests.server.nodes import Node, run, site

HONEST = {number: site(name, value) for number, name, value in ((1, "a", 1.0), (2, "b", 2.0), (3, "c", 3.0))}
OF_HONEST = [2.0] * 3
"""What a round of the honest sites adds to each of the three weights."""

NONE = np.zeros(0, np.float32)

Spoil = Callable[[RecordDict, RecordDict], RecordDict]
"""From a good update, and what was asked, to what is sent."""


def on_the_wire(content: RecordDict) -> RecordDict:
    return recorddict_from_proto(recorddict_to_proto(content))


def spoiling(spoil: Spoil) -> Node:
    """Site `d`, honest but for its updates."""
    honest = site("d", 4.0)

    def answer(kind: str, content: RecordDict) -> RecordDict:
        good = honest(kind, content)
        assert isinstance(good, RecordDict)
        return on_the_wire(spoil(good, content)) if kind == "train" else good

    return answer


def rounds_with(spoil: Spoil, **overrides: object) -> list[RoundResult]:
    settings = {"norm_ratio": 10, "deadline_s": 60, **overrides}
    results, _ = run({**HONEST, 4: spoiling(spoil)}, **settings)  # type: ignore[arg-type]
    return results


def _claiming(**claims: object) -> Spoil:
    def spoil(good: RecordDict, asked: RecordDict) -> RecordDict:
        return records.pack_update(replace(records.unpack_update(good), **claims))  # type: ignore[arg-type]

    return spoil


def _weights(change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Spoil:
    """Sent weights from honest ones and those before the round."""

    def spoil(good: RecordDict, asked: RecordDict) -> RecordDict:
        before = records.unpack_weights(asked.array_records[records.ARRAYS])
        return _with_array(good, Array(change(records.unpack_update(good).weights[:], before)))

    return spoil


def _with_array(good: RecordDict, array: Array) -> RecordDict:
    (key,) = good.array_records[records.ARRAYS]
    return RecordDict({**good, records.ARRAYS: ArrayRecord({key: array})})


def _with_bytes(data: bytes) -> Spoil:
    """Bytes that say of themselves that they are the weights."""
    return lambda good, asked: _with_array(good, Array("float32", (3,), "numpy.ndarray", data))


def _with_metrics(**changes: Any) -> Spoil:
    """Metrics changed, or left out where None."""

    def spoil(good: RecordDict, asked: RecordDict) -> RecordDict:
        metrics = {**good.metric_records[records.METRICS], **{k.replace("_", "-"): of for k, of in changes.items()}}
        kept = MetricRecord({key: value for key, value in metrics.items() if value is not None})
        return RecordDict({**good, records.METRICS: kept})

    return spoil


def _without(name: str) -> Spoil:
    return lambda good, asked: RecordDict({key: of for key, of in good.items() if key != name})


def _second(good: RecordDict, asked: RecordDict) -> RecordDict:
    (array,) = good.array_records[records.ARRAYS].values()
    return RecordDict({**good, records.ARRAYS: ArrayRecord({**good.array_records[records.ARRAYS], "more": array})})


def _stored(good: RecordDict) -> bytes:
    (array,) = good.array_records[records.ARRAYS].values()
    return array.data


class _Runs:
    """What a pickle of runs where it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was read",)


CORPUS: dict[str, tuple[Spoil, str]] = {
    "NaN": (_weights(lambda new, before: new * np.float32(np.nan)), "not-finite"),
    "infinity": (_weights(lambda new, before: np.array([1, np.inf, 1], np.float32)), "not-finite"),
    "minus infinity": (_weights(lambda new, before: np.array([1, 1, -np.inf], np.float32)), "not-finite"),
    "one weight more": (_weights(lambda new, before: np.append(new, new[:1])), "wrong-shape"),
    "no weight": (_weights(lambda new, before: new[:0]), "wrong-shape"),
    "another shape": (_weights(lambda new, before: new[None]), "wrong-shape"),
    "float64": (_weights(lambda new, before: new.astype(np.float64)), "wrong-type"),
    "float16": (_weights(lambda new, before: new.astype(np.float16)), "wrong-type"),
    "whole numbers": (_weights(lambda new, before: new.astype(np.int32)), "wrong-type"),
    "a huge payload": (_weights(lambda new, before: np.ones(2**20, np.float32)), "too-large"),
    "huge bytes": (_with_bytes(bytes(2**22)), "too-large"),
    "a pickle": (_with_bytes(pickle.dumps(_Runs())), "not-an-array"),
    "an array of pickled objects": (
        _with_bytes(b"\x93NUMPY\x01\x00\x16\x00{'descr': '|O', 'fortran_order': False, 'shape': (3,), }\n"),
        "not-an-array",
    ),
    "half an array": (lambda good, asked: _with_array(good, _cut(good)), "not-an-array"),
    "another serialisation": (
        lambda good, asked: _with_array(good, Array("float32", (3,), "torch.pickle", _stored(good))),
        "not-an-array",
    ),
    "nothing": (lambda good, asked: RecordDict({records.STATUS: records.status(records.OK)}), "missing-records"),
    "an empty dictionary": (lambda good, asked: RecordDict(), "no-status"),
    "no weights": (_without(records.ARRAYS), "missing-records"),
    "no metrics": (_without(records.METRICS), "missing-records"),
    "no steps": (_with_metrics(steps=None), "missing-records"),
    "a record more": (lambda good, asked: RecordDict({**good, "more": ConfigRecord({"a": "b"})}), "unknown-records"),
    "an array more": (_second, "unknown-records"),
    "a metric more": (_with_metrics(more=1.0), "unknown-records"),
    "a control that nobody asked for": (_claiming(control_change=np.ones(3, np.float32)), "unknown-records"),
    "text where a number belongs": (
        lambda good, asked: RecordDict({**good, records.METRICS: ConfigRecord({"loss": "low"})}),
        "wrong-type",
    ),
    "a list where a number belongs": (_with_metrics(steps=[10]), "wrong-type"),
    "half a study": (_with_metrics(num_examples=9.5), "wrong-type"),
    "10^9 studies": (_claiming(studies=10**9, steps=10**9), "too-many-studies"),
    "no studies": (_claiming(studies=0, steps=0), "zero-studies"),
    "negative studies": (_claiming(studies=-10, steps=-10), "zero-studies"),
    "too few steps, for which FedNova would pay": (_claiming(steps=1), "wrong-steps"),
    "too many steps": (_claiming(steps=11), "wrong-steps"),
    "negative slices": (_claiming(mask_slices=-1), "wrong-slices"),
    "10^9 slices": (_claiming(mask_slices=10**9), "wrong-slices"),
    "a loss that is no number": (_claiming(losses=(float("nan"), 0.0, 0.0, 0.0)), "not-finite"),
    "a negative loss": (_claiming(losses=(-1.0, 0.0, 0.0, 0.0)), "impossible-loss"),
    "a year": (_claiming(seconds=3e7), "impossible-seconds"),
    "less than no time": (_claiming(seconds=-1.0), "impossible-seconds"),
    "the round before": (_claiming(round=0), "stale-round"),
    "the round after next": (_claiming(round=99), "stale-round"),
    "zeros": (_weights(lambda new, before: before), "unchanged"),
    "scaled by 100": (_weights(lambda new, before: before + 100 * (new - before)), "norm-unlike-others"),
    "scaled by -100": (_weights(lambda new, before: before - 100 * (new - before)), "norm-unlike-others"),
    "the largest floats": (_weights(lambda new, before: np.finfo(np.float32).max / (1 + before)), "norm-unlike-others"),
}


def _cut(good: RecordDict) -> Array:
    return Array("float32", (3,), "numpy.ndarray", _stored(good)[:-4])


@pytest.mark.parametrize(("spoil", "reason"), CORPUS.values(), ids=CORPUS.keys())
def test_it_is_refused_by_name_and_leaves_no_trace_in_the_model(spoil: Spoil, reason: str) -> None:
    (result,) = rounds_with(spoil, rounds=1)
    assert result.refused == {"d": reason}
    assert result.weights.tolist() == OF_HONEST


@pytest.mark.parametrize("name", ["NaN", "a huge payload", "scaled by 100", "an empty dictionary"])
def test_three_refusals_by_the_gate_set_it_aside(name: str) -> None:
    spoil, reason = CORPUS[name]
    results = rounds_with(spoil, rounds=IN_A_ROW + 1)
    assert [result.refused for result in results[:IN_A_ROW]] == [{"d": reason}] * IN_A_ROW
    assert [result.weights.tolist() for result in results] == [[2.0 * n] * 3 for n in range(1, IN_A_ROW + 2)]
    if reason in REFUSALS:
        assert (results[-1].resting, results[-1].refused) == ({"d": SET_ASIDE}, {})
    else:
        assert (results[-1].resting, results[-1].refused) == ({}, {"d": reason})


def _repeating(**changes: object) -> Spoil:
    """The first update again and again, but for what is changed in it."""
    kept: list[RecordDict] = []

    def spoil(good: RecordDict, asked: RecordDict) -> RecordDict:
        kept.append(good)
        told = {name: getattr(records.unpack_plan(asked), of) for name, of in changes.items()}  # type: ignore[call-overload]
        return records.pack_update(replace(records.unpack_update(kept[0]), **told))

    return spoil


@pytest.mark.parametrize(("spoil", "reason"), [(_repeating(), "stale-round"), (_repeating(round="round"), "replayed")])
def test_a_replay_is_refused_with_its_old_round_and_with_a_new_one(spoil: Spoil, reason: str) -> None:
    first, *later = rounds_with(spoil, rounds=3)
    assert first.refused == {}
    assert [result.refused for result in later] == [{"d": reason}] * 2
    assert later[-1].weights.tolist() == [(1 + 2 + 3 + 4) / 4 + 2 + 2] * 3


def test_an_absolute_limit_holds_without_others_to_compare_with() -> None:
    far = spoiling(_weights(lambda new, before: before + 100 * (new - before)))
    results, _ = run({1: site("a", 1.0), 4: far}, max_update_norm=50)
    assert results[-1].refused == {"d": "norm-too-large"}
    assert results[-1].weights.tolist() == [2.0] * 3


def test_a_change_with_its_sign_turned_round_passes_for_nobody_can_tell_it() -> None:
    results = rounds_with(_weights(lambda new, before: 2 * before - new), rounds=1)
    assert results[0].refused == {}
    assert results[0].weights.tolist() == [(1 + 2 + 3 - 4) / 4] * 3


def test_up_to_half_of_the_sites_are_told_and_the_run_goes_on_without_them() -> None:
    far = {
        number: _renamed(spoiling(_weights(lambda new, before: before + 100 * (new - before))), name)
        for number, name in ((4, "d"), (5, "e"), (6, "f"))
    }
    results, _ = run({**HONEST, **far}, norm_ratio=10, rounds=1)
    assert results[0].refused == dict.fromkeys("def", "norm-unlike-others")
    assert results[0].weights.tolist() == OF_HONEST


def _renamed(node: Node, name: str) -> Node:
    return lambda kind, content: (site(name, 4.0) if kind != "train" else node)(kind, content)


_NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.lists(st.integers(-9, 9), max_size=3))
_KEYS = st.sampled_from(["loss", "mask-loss", "num-examples", "steps", "seconds", "round", "mask-slices", "more"])


@st.composite
def _mutations(draw: st.DrawFn) -> Spoil:
    """One to three changes of a good update, of its values, its bytes, its keys or its records."""
    kinds = draw(
        st.lists(st.sampled_from(["value", "weights", "bytes", "claim", "drop", "type"]), min_size=1, max_size=3)
    )
    changes = [draw(_MUTATION[kind]) for kind in kinds]

    def spoil(good: RecordDict, asked: RecordDict) -> RecordDict:
        for change in changes:
            good = change(good, asked)
        return good

    return spoil


def _value(key: str, value: Any) -> Spoil:
    change = _with_metrics(**{key: value})
    return lambda good, asked: change(good, asked) if records.METRICS in good.metric_records else good


def _any_array(array: Array) -> Spoil:
    return lambda good, asked: RecordDict({**good, records.ARRAYS: ArrayRecord({"weights": array})})


def _flipped_bits(place: int, mask: int) -> Spoil:
    def spoil(good: RecordDict, asked: RecordDict) -> RecordDict:
        arrays = good.array_records.get(records.ARRAYS)
        if not arrays:
            return good
        (array,) = arrays.values()
        data = bytearray(array.data)
        if data:
            data[place % len(data)] ^= mask
        return _any_array(Array(array.dtype, array.shape, array.stype, bytes(data)))(good, asked)

    return spoil


_FLOATS = st.floats(width=32)
_ARRAYS = st.one_of(
    st.lists(_FLOATS, max_size=5).map(lambda values: Array(np.array(values, np.float32))),
    st.lists(_FLOATS, min_size=3, max_size=3).map(lambda values: Array(np.array(values, np.float32))),
    st.builds(lambda dtype: Array(np.ones(3, dtype)), st.sampled_from(["<f8", ">f4", "f2", "i8", "?", "c8", "U1"])),
)
_MUTATION: dict[str, st.SearchStrategy[Spoil]] = {
    "value": st.builds(_value, _KEYS, _NUMBERS),
    "weights": st.builds(_any_array, _ARRAYS),
    "bytes": st.builds(_flipped_bits, st.integers(0, 500), st.integers(1, 255)),
    "claim": st.builds(
        lambda dtype, shape, data: _any_array(Array(dtype, tuple(shape), "numpy.ndarray", data)),
        st.sampled_from(["float32", "float64", "", "O"]),
        st.lists(st.integers(-1, 2**31 - 1), max_size=3),
        st.binary(max_size=300),
    ),
    "drop": st.builds(_without, st.sampled_from([records.ARRAYS, records.METRICS])),
    "type": st.builds(
        lambda name: lambda good, asked: RecordDict({**good, name: ConfigRecord({"weights": "x"})}),
        st.sampled_from([records.ARRAYS, records.METRICS]),
    ),
}


@settings(max_examples=60)
@given(_mutations())
@example(_value("seconds", 0.0))
def test_any_mutation_passes_unharmed_or_is_refused_by_name(spoil: Spoil) -> None:
    sent: list[RecordDict] = []

    def remembering(good: RecordDict, asked: RecordDict) -> RecordDict:
        sent.append(spoil(good, asked))
        return sent[-1]

    (result,) = rounds_with(remembering, rounds=1)
    assert np.isfinite(result.weights).all()
    if "d" in result.updates:
        assert result.refused == {}
        counted, received = result.updates["d"].update, records.unpack_update(sent[-1])
        assert replace(counted, weights=NONE) == replace(received, weights=NONE)
        mean = np.average(
            [[1] * 3, [2] * 3, [3] * 3, received.weights[:]], axis=0, weights=[10, 10, 10, counted.studies]
        )
        assert result.weights == pytest.approx(mean, rel=1e-6)
    else:
        assert result.refused["d"] in REFUSALS
        assert result.weights.tolist() == OF_HONEST
