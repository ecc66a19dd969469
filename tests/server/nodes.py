"""Federations whose nodes are plain functions of real Flower messages: sites that behave, and sites that do not."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from flwr.app import Error, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.schedule import steps_per_epoch
from bloodnet_model.segmentation_sums import SegmentationSums
from server.federation import Federation, round_plan
from server.journal import Journal
from server.record import round_line
from server.rounds import RoundResult, run_rounds
from server.settings import RunSettings, run_settings
from server.sites import roll_call
from strategies import records
from strategies.evaluation_records import SiteEvaluation, pack_evaluation, requested_split
from strategies.fedavg import FedAvg
from strategies.records import RoundPlan, SiteInfo, Update

Node = Callable[[str, RecordDict], RecordDict | Error | None]


class FunctionGrid(Grid):
    """Nodes are functions of (message type, content); None means that no answer ever comes."""

    def __init__(
        self, nodes: dict[int, Node], asleep: frozenset[int] = frozenset(), names: Mapping[int, str] | None = None
    ) -> None:
        self.nodes, self.asleep, self.names = nodes, asleep, names or {}
        self.replies: dict[str, Message] = {}
        self.numbers = count(1)
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1

    def get_node_ids(self) -> list[int]:
        return list(self.nodes)

    def get_nodes(self) -> list[NodeInfo]:
        now = time.time()
        leases = {n: now + (0 if n in self.asleep else 60) for n in self.nodes}
        return [NodeInfo(node_id=n, online_until=until, name=self.names.get(n, "")) for n, until in leases.items()]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            if message.metadata.created_at + message.metadata.ttl < time.time():  # as a SuperLink does
                ids.append("")
                continue
            message_id = f"m{next(self.numbers)}"
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
    def step(self, label: str, names: Iterable[str], until: datetime | None = None) -> None: ...

    def answer(self, site: str) -> None: ...


def site(
    name: str,
    value: float,
    studies: int = 10,
    claims: int | None = None,
    splits: tuple[str, ...] = ("train", "validation"),
) -> Node:
    """A site that moves every weight by `value` a round and whose one positive scores above its one negative."""

    def answer(kind: str, content: RecordDict) -> RecordDict:
        if kind == records.ROLL_CALL:
            return records.pack_site_info(SiteInfo(name, "0", {f"{split}-studies": studies for split in splits}, {}))
        if kind == "train":
            weights, _, _ = records.unpack_instruction(content)
            return records.pack_update(
                trained(weights + np.float32(value), records.unpack_plan(content), claims or studies)
            )
        return pack_evaluation(two_studies(records.unpack_plan(content).round, requested_split(content)))

    return answer


def trained(weights: NDArray[np.float32], plan: RoundPlan, studies: int = 10) -> Update:
    """What an honest site answers that got to `weights`."""
    steps = plan.local_epochs * steps_per_epoch(studies, plan.model.training.studies_per_step)
    return Update(weights, studies, steps, (1.0, 0.5, 0.3, 0.2), 0.1, plan.round)


def two_studies(number: int, split: str) -> SiteEvaluation:
    histogram = ScoreHistogram.from_scores([0.9, 0.1], [1, 0])
    sums = SegmentationSums(dice_millionths=500_000, dice_studies=1)
    return SiteEvaluation(number, split, dict.fromkeys(CLASSES, histogram), {}, sums)


def in_training(node: Node, answer: RecordDict | Error | None) -> Node:
    """`node`, but answering every training message with `answer`."""
    return lambda kind, content: answer if kind == "train" else node(kind, content)


def run(
    nodes: dict[int, Node], asleep: frozenset[int] = frozenset(), strategy: Strategy | None = None, **overrides: object
) -> tuple[list[RoundResult], RunSettings]:
    with started(nodes, asleep, strategy, **overrides) as federation:
        return rounds_of(federation), federation.settings


def rounds_of(federation: Federation) -> list[RoundResult]:
    """Every round, written into the journal as a run does."""
    results = []
    for result in run_rounds(federation):
        federation.journal.over(result.number, round_line(result, federation.journal.readmitted))
        results.append(result)
    return results


@contextmanager
def started(
    nodes: dict[int, Node], asleep: frozenset[int] = frozenset(), strategy: Strategy | None = None, **overrides: object
) -> Iterator[Federation]:
    """A federation after its roll call, of a network with three weights, all of them 0."""
    raw = {"rounds": 2, "deadline_s": 60, "wait_s": 0, "norm_ratio": 0, **overrides}
    settings = run_settings(raw)
    grid = FunctionGrid(nodes, asleep)
    sites = roll_call(grid, round_plan(settings, "r", 0), settings, Silent())
    with TemporaryDirectory() as folder:
        journal = Journal.begin(Path(folder), "r", {}, np.zeros(3, np.float32))
        yield Federation(grid, strategy or FedAvg(), settings, sites, Silent(), journal)
