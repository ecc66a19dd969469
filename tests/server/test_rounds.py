"""The round loop against sites that misbehave, over a grid whose nodes are plain functions."""

from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, RecordDict
from flwr.common.constant import ErrorCode

from bloodnet_model.errors import RoundError, SettingsError
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.splits import HELD_OUT
from server.rounds import evaluate
from strategies import records
from strategies.evaluation_records import pack_evaluation, requested_split
from tests.server.nodes import Node, in_training, rounds_of, run, site, started, two_studies

pytestmark = pytest.mark.usefixtures("clock_of_waits")


def test_two_sites_are_averaged_by_studies() -> None:
    results, _ = run({1: site("a", 1.0, 10), 2: site("b", 5.0, 30)})
    assert [result.number for result in results] == [1, 2]
    assert results[-1].weights.tolist() == [8.0] * 3
    assert results[-1].validation.pooled()["any"].studies == 4


def test_the_order_of_nodes_changes_no_bit() -> None:
    values = np.random.default_rng(0).normal(size=5)
    forward = {i: site(f"s{i}", float(values[i]), 7 + i) for i in range(5)}
    backward = {10 - i: forward[i] for i in reversed(range(5))}
    assert run(forward)[0][-1].weights.tobytes() == run(backward)[0][-1].weights.tobytes()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "no-answer"),
        (Error(0, "/data/patients/mueller.dcm"), "node-error"),
        (Error(ErrorCode.INVALID_FAB, ""), "not-approved"),
        (records.refusal("bad-data"), "bad-data"),
        (records.refusal("No such file: /data/mueller.dcm"), "unreadable"),
        (RecordDict({"status": records.status(records.OK)}), "missing-records"),
        (RecordDict(), "no-status"),
    ],
)
def test_one_sites_trouble_costs_that_site_the_round(answer: RecordDict | Error | None, reason: str) -> None:
    results, _ = run({1: site("a", 1.0), 2: in_training(site("b", 5.0), answer)})
    assert len(results) == 2
    assert results[-1].weights.tolist() == [2.0] * 3
    assert results[-1].refused == {"b": reason}


def broken_evaluations() -> dict[str, tuple[RecordDict, str]]:
    good = two_studies(1, "validation")
    other_bins = ScoreHistogram.from_scores([0.9, 0.1], [1, 0], bins=64)
    three = ScoreHistogram.from_scores([0.9, 0.8, 0.1], [1, 1, 0])
    many = ScoreHistogram.from_scores(np.linspace(0, 1, 11), np.arange(11) % 2)

    def with_metric(key: str, value: object) -> RecordDict:
        content = pack_evaluation(good)
        content.metric_records["metrics"][key] = value  # type: ignore[assignment]
        return content

    def changed(**changes: object) -> RecordDict:
        return pack_evaluation(replace(good, **changes))  # type: ignore[arg-type]

    bins = good.histograms["any"].bins
    return {
        "empty": (RecordDict({"status": records.status(records.OK)}), "unreadable"),
        "other bins": (changed(histograms=dict.fromkeys(CLASSES, other_bins)), "other-bins"),
        "negative counts": (with_metric("any.positives", [-1] * bins), "bad-counts"),
        "fractional counts": (with_metric("any.positives", [0.5] * bins), "bad-counts"),
        "no list": (with_metric("any.positives", 3), "bad-counts"),
        "Dice that is no whole number": (with_metric("segmentation.dice_millionths", 0.5), "bad-counts"),
        "more Dice than studies": (with_metric("segmentation.dice_millionths", 2_000_000), "bad-counts"),
        "a subtype in more studies than any": (
            changed(histograms={**good.histograms, "subdural": three}),
            "counts-do-not-add-up",
        ),
        "groups of more studies than all": (changed(groups={"a": three}), "counts-do-not-add-up"),
        "groups with a sentence for a name": (changed(groups={"Dr. Mueller": three}), "bad-group"),
        "more studies than declared": (changed(histograms=dict.fromkeys(CLASSES, many)), "too-many-studies"),
        "another split": (changed(split="test"), "stale-answer"),
        "another round": (changed(round=7), "stale-answer"),
    }


@pytest.mark.parametrize(("answer", "reason"), broken_evaluations().values(), ids=broken_evaluations().keys())
def test_counts_that_cannot_be_cost_their_site_the_evaluation(answer: RecordDict, reason: str) -> None:
    broken: Node = lambda kind, content: answer if kind == "evaluate" else site("b", 5.0)(kind, content)  # noqa: E731
    results, _ = run({1: site("a", 1.0), 2: broken}, rounds=1)
    assert results[-1].validation.withheld == {"b": reason}
    assert results[-1].validation.pooled()["any"].studies == 2
    assert results[-1].weights.tolist() == [3.0] * 3


def test_an_answer_to_the_roll_call_that_cannot_be_read_is_left_out() -> None:
    silent_on_itself = RecordDict({"status": records.status(records.OK)})
    without_code = RecordDict({"status": ConfigRecord()})
    results, _ = run({1: site("a", 1.0), 2: lambda *_: silent_on_itself, 3: lambda *_: without_code})
    assert results[-1].weights.tolist() == [2.0] * 3


def test_too_few_usable_updates_end_the_run_with_their_reasons() -> None:
    with pytest.raises(RoundError, match=r"Round 1: 1 usable updates, 2 are needed \(b: bad data\)"):
        run({1: site("a", 1.0), 2: in_training(site("b", 5.0), records.refusal("bad-data"))}, minimum_sites=2)


def test_too_few_sites_are_said_before_round_one() -> None:
    with pytest.raises(SettingsError, match=r"0 of the 1 sites .*no node is connected"):
        run({})


def test_a_site_whose_studies_are_held_out_tests_and_trains_nothing() -> None:
    asked: list[str] = []

    def held_out(kind: str, content: RecordDict) -> RecordDict:
        asked.append(kind if kind == records.ROLL_CALL else requested_split(content))
        return site("b", 5.0, splits=("test-random",))(kind, content)  # type: ignore[return-value]

    with started({1: site("a", 1.0), 2: held_out}) as federation:
        results = rounds_of(federation)
        random, enriched = (evaluate(federation, np.zeros(3, np.float32), federation.plan(2), of) for of in HELD_OUT)
    assert results[-1].weights.tolist() == [2.0] * 3
    assert results[-1].refused == results[-1].validation.withheld == {}
    assert set(random.sites) == {"b"}
    assert not enriched.sites
    assert asked == [records.ROLL_CALL, "test-random"]


def test_sites_without_a_study_to_train_on_do_not_make_a_run() -> None:
    with pytest.raises(RoundError, match=r"1 of the 2 sites this run needs can train \(b has nothing to train on\)"):
        run({1: site("a", 1.0), 2: site("b", 5.0, splits=("test-random",))}, minimum_sites=2)


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", "", "a\n", "x" * 65])
def test_a_name_that_could_be_a_path_is_not_admitted(name: str) -> None:
    with started({1: site("a", 1.0), 2: site(name, 5.0)}) as federation:
        assert federation.sites.refused == {"node-2": "bad-name"}
        assert rounds_of(federation)[-1].weights.tolist() == [2.0] * 3


def test_a_second_site_of_the_same_name_is_not_admitted() -> None:
    results, _ = run({1: site("a", 1.0), 2: site("a", 5.0)})
    assert results[-1].weights.tolist() == [2.0] * 3


def test_a_node_whose_lease_is_over_is_not_asked_for_its_answer() -> None:
    with pytest.raises(RoundError, match="no answer from node-2 before the deadline"):
        run({1: site("a", 1.0), 2: site("b", 5.0)}, asleep=frozenset({2}), minimum_sites=2)
