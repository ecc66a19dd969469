"""A SuperNode that dies forgets what it was asked; one whose line was cut does not, and connects anew as well."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo

from server.exchange import exchange
from server.federation import round_plan
from server.settings import run_settings
from strategies import records
from tests.server.nodes import FunctionGrid, Node, site

pytestmark = pytest.mark.usefixtures("clock_of_waits")

WORK = 4
"""Looks of the server's that a message takes at a node."""


class OneAfterTheOther(FunctionGrid):
    """Nodes as SuperNodes are, but for their clock, which the server's looks at them turn."""

    def __init__(self, nodes: dict[int, Node], at: int, event: Callable[["OneAfterTheOther"], None]) -> None:
        super().__init__(nodes)
        self.looks, self.at, self.event = 0, at, event
        self.connected = dict.fromkeys(nodes, "at first")
        self.queues: dict[int, list[Message]] = {node: [] for node in nodes}
        self.work: dict[int, tuple[int, Message]] = {}
        self.asked: list[tuple[int, str]] = []

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        for message in (kept := list(messages)):
            self.asked.append((message.metadata.dst_node_id, message.metadata.message_type))
            message.metadata.__dict__["_message_id"] = f"m{len(self.asked)}"
            self.queues[message.metadata.dst_node_id].append(message)
        return [message.metadata.message_id for message in kept]

    def get_nodes(self) -> list[NodeInfo]:
        self.looks += 1
        if self.looks == self.at:
            self.event(self)
        for node in self.nodes:
            self._work(node)
        return [
            NodeInfo(
                node_id=told.node_id, online_until=told.online_until, last_activated_at=self.connected[told.node_id]
            )
            for told in super().get_nodes()
        ]

    def _work(self, node: int) -> None:
        if node in self.work:
            due, message = self.work[node]
            if self.looks >= due:
                del self.work[node]
                answer = self.nodes[node](message.metadata.message_type, message.content)
                assert isinstance(answer, RecordDict)
                self.replies[message.metadata.message_id] = Message(answer, reply_to=message)
        elif self.queues[node]:
            self.work[node] = self.looks + WORK, self.queues[node].pop(0)


def dies(grid: OneAfterTheOther) -> None:
    grid.work.pop(1, None)
    grid.connected[1] = "again"


def is_cut(grid: OneAfterTheOther) -> None:
    grid.connected[1] = "again"


def asked(at: int, event: Callable[[OneAfterTheOther], None]) -> list[str]:
    """What the first of two sites was asked, both of which train in the end."""
    grid = OneAfterTheOther({1: site("a", 1.0), 2: site("b", 2.0)}, at, event)
    config, weights = records.pack_plan(round_plan(run_settings({}), "r", 1)), np.zeros(3, np.float32)
    content = RecordDict({records.CONFIG: config, records.ARRAYS: records.pack_weights(weights)})
    messages = [Message(content, node, "train") for node in (1, 2)]
    answers = list(exchange(grid, messages, {1: "a", 2: "b"}, 60))
    assert {answer.site: answer.code for answer in answers} == {"a": records.OK, "b": records.OK}
    assert [kind for node, kind in grid.asked if node == 2] == ["train"]
    return [kind for node, kind in grid.asked if node == 1]


def test_what_died_with_a_supernode_is_asked_again() -> None:
    assert asked(4, dies) == ["train", records.ROLL_CALL, "train"]


def test_a_site_that_was_cut_off_at_work_does_not_work_twice() -> None:
    assert asked(4, is_cut) == ["train", records.ROLL_CALL]


def test_a_question_that_a_supernode_had_not_taken_yet_is_not_lost() -> None:
    assert asked(2, is_cut) == ["train", records.ROLL_CALL]
