"""Questions that a SuperNode took with it when it died, to be asked again.

A SuperNode keeps what it was asked in its memory alone, and the SuperLink takes the question for delivered: its answer
would be waited for until the deadline. That a node has connected anew is no proof, for so does one whose line was cut
and which is at work. But a SuperNode answers one message after the other. So it is called, by the roll call's question;
when it has answered that, it is at work on nothing else.
"""

import time
from collections.abc import Iterable, Mapping, Set

from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid

from strategies import records


class LostQuestions:
    """Those of one exchange, which ends at `end` by the monotonic clock; `questions` by node id."""

    def __init__(self, grid: Grid, questions: Mapping[int, Message], nodes: Iterable[NodeInfo], end: float) -> None:
        self._grid, self._questions, self._end = grid, questions, end
        self._connected = {node.node_id: node.last_activated_at for node in nodes}
        self._calls = dict[str, int]()

    def found(self, awake: Iterable[NodeInfo], waiting: Set[int]) -> set[int]:
        """Call nodes of `waiting` that have connected anew; returns those that have answered a call.

        What such a node has not answered when it is looked at afterwards, it has lost.

        awake: nodes with a lease
        """
        here = {node.node_id: node.last_activated_at for node in awake if node.node_id in waiting}
        for node, connected in here.items():
            if connected != self._connected.get(node, connected):
                config = records.config_of(self._questions[node].content)
                self._calls |= self._sent(node, records.ROLL_CALL, records.question(config))
        self._connected |= here
        called = [call for call, node in self._calls.items() if node in here]
        answers = self._grid.pull_messages(called) if called else ()
        return {self._calls.pop(answer.metadata.reply_to_message_id) for answer in answers}

    def ask_again(self, node: int) -> dict[str, int]:
        """Node by id of its question, sent anew; empty where it could not be."""
        question = self._questions[node]
        return self._sent(node, question.metadata.message_type, question.content)

    def _sent(self, node: int, kind: str, content: RecordDict) -> dict[str, int]:
        message = Message(content, node, kind)
        message.metadata.ttl = max(0.0, self._end - time.monotonic())
        return {number: node for number in self._grid.push_messages([message]) if number}
