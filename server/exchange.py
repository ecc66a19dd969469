"""Messages out, answers in, each as it comes, until all are there or the deadline is over."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeVar

from flwr.app import Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid

from bloodnet_model.errors import BloodNetError, UnusableAnswer
from bloodnet_model.run_metrics import NO_ANSWER
from server.lost_questions import LostQuestions
from strategies import records

T = TypeVar("T")

_CODE: Final = "[a-z][a-z-]{0,31}"
"""Pattern of what a site may answer instead of its records."""
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S, _OF_WAITED = 0.1, 3.0, 0.1
"""Between two looks for answers: this share of the time since the last one came."""
_LEASES_KNOWN_S, _LEASE_MARGIN_S = 2.0, 5.0
"""For so long what was heard of leases is believed; one that then holds for less than the margin counts as over."""

NODE_ERROR, NOT_SENT, UNREADABLE = "node-error", "not-sent", "unreadable"
NOT_APPROVED: Final = "not-approved"
"""Of a site whose IT has not approved the code of this run."""


class Progress(Protocol):
    """Who wants to see a step of a round as it happens."""

    def step(self, label: str, names: Iterable[str], until: datetime | None = None) -> None: ...

    def answer(self, site: str) -> None: ...


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of one site's message: records, or the code of why there are none that can be used.

    answered_s: seconds from the question to the answer by this machine's clock; to the deadline where none came
    """

    site: str
    content: RecordDict | None
    code: str
    answered_s: float

    def unpacked(self, unpack: Callable[[RecordDict], T]) -> T:
        """What `unpack` makes of it; raises UnusableAnswer, with a reason, where nothing can be made of it."""
        if self.content is None:
            raise UnusableAnswer(self.code)
        try:
            return unpack(self.content)
        except UnusableAnswer:
            raise
        except (KeyError, TypeError, ValueError, OverflowError, BloodNetError):
            raise UnusableAnswer(UNREADABLE) from None


def unpacked(answers: Iterable[Answer], unpack: Callable[[RecordDict], T]) -> tuple[dict[str, T], dict[str, str]]:
    """By site: what `unpack` makes of each answer, and the codes of those that it can make nothing of."""
    values, refused = {}, {}
    for answer in answers:
        try:
            values[answer.site] = answer.unpacked(unpack)
        except UnusableAnswer as error:
            refused[answer.site] = error.reason
    return values, refused


def exchange(grid: Grid, messages: Iterable[Message], sites: Mapping[int, str], deadline_s: float) -> Iterator[Answer]:
    """Send `messages` and yield each answer as it comes, so that nobody need hold all; `sites` maps node ids to names.

    A reply made by the SuperLink (a node that died) names no site, so answers are mapped by the message they reply
    to. Asking for the answer of a node whose lease is over would make the SuperLink delete it: such nodes are not
    asked until they are back. A question that a node has lost is asked again. Nothing a site does raises here. Messages
    to nodes that are not in `sites` are not sent.
    """
    started = came = time.monotonic()
    end = started + deadline_s
    questions = {node: one for one in messages if (node := one.metadata.dst_node_id) in sites}
    awake, looked = _nodes_with_a_lease(grid), started
    lost = LostQuestions(grid, questions, awake.values(), end)
    waiting, unsent = _send(grid, list(questions.values()), deadline_s)
    for node in unsent:
        yield Answer(sites[node], None, NOT_SENT, 0.0)
    while waiting and time.monotonic() < end:
        asked, idle = time.monotonic(), set[int]()
        if asked - looked >= _LEASES_KNOWN_S:
            awake, looked = _nodes_with_a_lease(grid), asked
            idle = lost.found(awake.values(), frozenset(waiting.values()))
        arrived = list(grid.pull_messages([i for i, node in waiting.items() if node in awake]))
        came = time.monotonic() if arrived else came
        while arrived:
            reply = arrived.pop(0)  # held by nobody here once it is used
            if (answered := reply.metadata.reply_to_message_id) in waiting:
                yield _answer(sites[waiting.pop(answered)], reply, time.monotonic() - started)
        for question, node in [pair for pair in waiting.items() if pair[1] in idle]:
            if again := lost.ask_again(node):
                del waiting[question]
                waiting |= again
        if waiting:
            pause = min(max(_SHORTEST_PAUSE_S, (asked - came) * _OF_WAITED), _LONGEST_PAUSE_S)
            now = time.monotonic()  # a grid may have waited for answers itself
            time.sleep(max(0.0, min(asked + pause, end) - now))
    for node in waiting.values():
        yield Answer(sites[node], None, NO_ANSWER, time.monotonic() - started)


def _send(grid: Grid, messages: list[Message], deadline_s: float) -> tuple[dict[str, int], list[int]]:
    """Message id to node id of what was sent, and the nodes to which nothing could be."""
    for message in messages:
        message.metadata.ttl = deadline_s  # a stale message dies with its round
    nodes = [message.metadata.dst_node_id for message in messages]
    sent = list(zip(grid.push_messages(messages), nodes, strict=True))
    return {message_id: node for message_id, node in sent if message_id}, [node for i, node in sent if not i]


def _nodes_with_a_lease(grid: Grid) -> dict[int, NodeInfo]:
    """Nodes whose heartbeat lease holds a little longer; engines without leases give none, and all count."""
    soonest = time.time() + _LEASE_MARGIN_S
    nodes = grid.get_nodes()
    return {node.node_id: node for node in nodes if not node.HasField("online_until") or node.online_until > soonest}


def _answer(site: str, reply: Message, answered_s: float) -> Answer:
    if reply.has_error():
        code = NOT_APPROVED if reply.error.code == ErrorCode.INVALID_FAB else NODE_ERROR
        return Answer(site, None, code, answered_s)
    code = records.status_code(reply.content)
    if not re.fullmatch(_CODE, code):  # it stands in the journal and in the report
        code = UNREADABLE
    return Answer(site, reply.content if code == records.OK else None, code, answered_s)
