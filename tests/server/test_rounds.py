"""The round loop against sites that misbehave, over a grid whose nodes are plain functions."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from bloodnet_model.errors import RoundError
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.segmentation_sums import SegmentationSums
from bloodnet_model.splits import HELD_OUT
from server.journal import Journal
from server.rounds import Federation, RoundResult, evaluate, round_plan, run_rounds
from server.settings import RunSettings, run_settings
from server.sites import roll_call
from strategies import records
from strategies.evaluation_records import SiteEvaluation, pack_evaluation, requested_split
from strategies.fedavg import FedAvg
from strategies.records import SiteInfo, Update

Node = Callable[[str, RecordDict], RecordDict | Error | None]


class FunctionGrid(Grid):
    """Nodes are functions of (message type, content); None means that no answer ever comes."""

    def __init__(self, nodes: dict[int, Node], asleep: frozenset[int] = frozenset()) -> None:
        self.nodes, self.asleep = nodes, asleep
        self.replies: dict[str, Message] = {}
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1

    def get_node_ids(self) -> list[int]:
        return list(self.nodes)

    def get_nodes(self) -> list[NodeInfo]:
        now = time.time()
        return [NodeInfo(node_id=n, online_until=now + (0 if n in self.asleep else 60)) for n in self.nodes]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            message_id = f"m{len(self.replies)}-{message.metadata.dst_node_id}-{time.monotonic_ns()}"
            message.metadata.__dict__["_message_id"] = message_id
            answer = self.nodes[message.metadata.dst_node_id](message.metadata.message_type, message.content)
            if answer is not None:
                self.replies[message_id] = Message(answer, reply_to=message)
            ids.append(message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return [self.replies.pop(i) for i in message_ids if i in self.replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        return self.pull_messages(self.push_messages(messages))

    def create_message(self, *_: object, **__: object) -> Message:
        raise NotImplementedError

    def set_run(self, run: Run) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Run:
        raise NotImplementedError


class Silent:
    def step(self, label: str, sites: int) -> None: ...

    def answer(self, site: str) -> None: ...


def site(
    name: str,
    value: float,
    studies: int = 10,
    claims: int | None = None,
    splits: tuple[str, ...] = ("train", "validation"),
) -> Node:
    """A site whose update is `value` everywhere and whose one positive scores above its one negative."""

    def answer(kind: str, content: RecordDict) -> RecordDict:
        if kind == records.ROLL_CALL:
            return records.pack_site_info(SiteInfo(name, "0", {f"{split}-studies": studies for split in splits}, {}))
        if kind == "train":
            weights, _, _ = records.unpack_instruction(content)
            new = np.full_like(weights, value)
            return records.pack_update(Update(new, claims or studies, 5, (1.0, 0.5, 0.3, 0.2), 0.1))
        return pack_evaluation(two_studies(records.unpack_plan(content).round, requested_split(content)))

    return answer


def two_studies(number: int, split: str) -> SiteEvaluation:
    histogram = ScoreHistogram.from_scores([0.9, 0.1], [1, 0])
    sums = SegmentationSums(dice_millionths=500_000, dice_studies=1)
    return SiteEvaluation(number, split, dict.fromkeys(CLASSES, histogram), {}, sums)


def in_training(node: Node, answer: RecordDict | Error | None) -> Node:
    """`node`, but answering every training message with `answer`."""
    return lambda kind, content: answer if kind == "train" else node(kind, content)


def run(
    nodes: dict[int, Node], asleep: frozenset[int] = frozenset(), **overrides: object
) -> tuple[list[RoundResult], RunSettings]:
    federation, weights = start(nodes, asleep, **overrides)
    return rounds_of(federation, weights), federation.settings


def rounds_of(federation: Federation, weights: NDArray[np.float32]) -> list[RoundResult]:
    with TemporaryDirectory() as folder:
        return list(run_rounds(federation, Journal.begin(Path(folder), federation.run, {}, weights)))


def start(
    nodes: dict[int, Node], asleep: frozenset[int] = frozenset(), **overrides: object
) -> tuple[Federation, NDArray[np.float32]]:
    """A federation after its roll call, and the weights that it starts from."""
    settings = run_settings({"rounds": 2, "deadline_s": 0.3, **overrides})
    grid = FunctionGrid(nodes, asleep)
    sites = roll_call(grid, round_plan(settings, "r", 0), 0.3, settings.minimum_sites, Silent())
    return Federation(grid, FedAvg(), settings, sites, Silent(), "r"), np.zeros(3, np.float32)


def test_two_sites_are_averaged_by_studies() -> None:
    results, _ = run({1: site("a", 1.0, 10), 2: site("b", 5.0, 30)})
    assert [result.number for result in results] == [1, 2]
    assert results[-1].weights.tolist() == [4.0] * 3
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
        (records.refusal("bad-data"), "bad-data"),
        (records.pack_update(Update(np.full(3, np.nan, np.float32), 9, 1, (1, 0, 0, 0), 1)), "not-finite"),
        (records.pack_update(Update(np.zeros(3, np.float32), 9, 1, (float("nan"), 0, 0, 0), 1)), "not-finite"),
        (records.pack_update(Update(np.zeros(3, np.float32), 9, 1, (1, 0, 0, 0), float("inf"))), "not-finite"),
        (records.pack_update(Update(np.zeros(4, np.float32), 9, 1, (1, 0, 0, 0), 1)), "wrong-shape"),
        (records.pack_update(Update(np.zeros(3, np.float32), 10**9, 1, (1, 0, 0, 0), 1)), "too-many-studies"),
        (RecordDict({"status": records.status(records.OK)}), "unreadable"),
    ],
)
def test_one_sites_trouble_costs_that_site_the_round(answer: RecordDict | Error | None, reason: str) -> None:
    results, _ = run({1: site("a", 1.0), 2: in_training(site("b", 5.0), answer)})
    assert len(results) == 2
    assert results[-1].weights.tolist() == [1.0] * 3
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
    assert results[-1].weights.tolist() == [1.0] * 3


def test_too_few_usable_updates_end_the_run_with_their_reasons() -> None:
    with pytest.raises(RoundError, match=r"Round 1: 1 usable updates, 2 are needed \(b: bad-data\)"):
        run({1: site("a", 1.0), 2: in_training(site("b", 5.0), records.refusal("bad-data"))}, minimum_sites=2)


def test_too_few_sites_are_said_before_round_one() -> None:
    with pytest.raises(RoundError, match=r"0 of the 1 sites .*no node is connected"):
        run({})


def test_a_site_whose_studies_are_held_out_tests_and_trains_nothing() -> None:
    asked: list[str] = []

    def held_out(kind: str, content: RecordDict) -> RecordDict:
        asked.append(kind if kind == records.ROLL_CALL else requested_split(content))
        return site("b", 5.0, splits=("test-random",))(kind, content)  # type: ignore[return-value]

    federation, weights = start({1: site("a", 1.0), 2: held_out})
    results = rounds_of(federation, weights)
    assert results[-1].weights.tolist() == [1.0] * 3
    assert results[-1].refused == results[-1].validation.withheld == {}
    plan = round_plan(federation.settings, "r", 2)
    random, enriched = (evaluate(federation, weights, plan, split) for split in HELD_OUT)
    assert set(random.sites) == {"b"}
    assert not enriched.sites
    assert asked == [records.ROLL_CALL, "test-random"]


def test_sites_without_a_study_to_train_on_do_not_make_a_run() -> None:
    with pytest.raises(RoundError, match=r"1 of the 2 sites this run needs can train \(b: nothing-to-train\)"):
        run({1: site("a", 1.0), 2: site("b", 5.0, splits=("test-random",))}, minimum_sites=2)


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", "", "a\n", "x" * 65])
def test_a_name_that_could_be_a_path_is_not_admitted(name: str) -> None:
    federation, weights = start({1: site("a", 1.0), 2: site(name, 5.0)})
    assert federation.sites.refused == {"node-2": "bad-name"}
    assert rounds_of(federation, weights)[-1].weights.tolist() == [1.0] * 3


def test_a_second_site_of_the_same_name_is_not_admitted() -> None:
    results, _ = run({1: site("a", 1.0), 2: site("a", 5.0)})
    assert results[-1].weights.tolist() == [1.0] * 3


def test_a_node_whose_lease_is_over_is_not_asked_for_its_answer() -> None:
    with pytest.raises(RoundError, match="node-2: no-answer"):
        run({1: site("a", 1.0), 2: site("b", 5.0)}, asleep=frozenset({2}), minimum_sites=2)
