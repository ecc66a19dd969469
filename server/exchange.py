"""Messages out, answers in, until all are there or the deadline is over."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from bloodnet_model.errors import BloodNetError, UnusableAnswer
from strategies import records

T = TypeVar("T")

_POLL_S = 0.05
_SLOWEST_POLL_S = 3.0
_LEASE_MARGIN_S = 5.0

NO_ANSWER, NODE_ERROR, NOT_SENT, UNREADABLE = "no-answer", "node-error", "not-sent", "unreadable"


class Progress(Protocol):
    """Who wants to see a step of a round as it happens."""

    def step(self, label: str, sites: int) -> None: ...

    def answer(self, site: str) -> None: ...


@dataclass
class Answers:
    """Answers by site name: usable ones, and the codes of the others."""

    replies: dict[str, Message] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def unpacked(self, unpack: Callable[[RecordDict], T]) -> dict[str, T]:
        """What `unpack` makes of each answer; a site whose answer it cannot read is refused, with its reason if any."""
        values = {}
        for site, reply in self.replies.items():
            try:
                values[site] = unpack(reply.content)
            except UnusableAnswer as error:
                self.refused[site] = error.reason
            except (KeyError, TypeError, ValueError, BloodNetError):
                self.refused[site] = UNREADABLE
        return values


def exchange(
    grid: Grid,
    messages: Iterable[Message],
    sites: Mapping[int, str],
    deadline_s: float,
    on_answer: Callable[[str, Message | None], None] = lambda site, reply: None,
) -> Answers:
    """Send `messages` and collect the answers by site name; `sites` maps node ids to names.

    A reply made by the SuperLink (a node that died) names no site, so answers are mapped by the message they reply
    to. Asking for the answer of a node whose lease is over would make the SuperLink delete it: such nodes are not
    asked until they are back. Nothing a site does raises here. `on_answer` hears of each answer as it comes; of one
    that cannot be used, without its message.
    """
    waiting, answers = _send(grid, list(messages), sites, deadline_s)
    end, pause = time.monotonic() + deadline_s, _POLL_S
    while waiting and time.monotonic() < end:
        asked, awake = time.monotonic(), _nodes_with_a_lease(grid)
        arrived = list(grid.pull_messages([i for i, node in waiting.items() if node in awake]))
        for reply in arrived:
            node = waiting.pop(reply.metadata.reply_to_message_id, None)
            if node is not None:
                _file(answers, sites[node], reply)
                on_answer(sites[node], answers.replies.get(sites[node]))
        pause = _POLL_S if arrived else min(_SLOWEST_POLL_S, pause * 1.2)
        if waiting:
            now = time.monotonic()  # a grid may have waited for answers itself
            time.sleep(max(0.0, min(asked + pause, end) - now))
    answers.refused.update({sites[node]: NO_ANSWER for node in waiting.values()})
    return answers


def _send(
    grid: Grid, messages: list[Message], sites: Mapping[int, str], deadline_s: float
) -> tuple[dict[str, int], Answers]:
    """Message id to node id of what was sent; messages to nodes that are not in the run are dropped."""
    messages = [message for message in messages if message.metadata.dst_node_id in sites]
    for message in messages:
        message.metadata.ttl = deadline_s  # a stale message dies with its round
    nodes = [message.metadata.dst_node_id for message in messages]
    waiting, answers = {}, Answers()
    for message_id, node in zip(grid.push_messages(messages), nodes, strict=True):
        if message_id:
            waiting[message_id] = node
        else:
            answers.refused[sites[node]] = NOT_SENT
    return waiting, answers


def _nodes_with_a_lease(grid: Grid) -> set[int]:
    """Nodes whose heartbeat lease holds a little longer; engines without leases give none, and all count."""
    soonest = time.time() + _LEASE_MARGIN_S
    return {
        node.node_id for node in grid.get_nodes() if not node.HasField("online_until") or node.online_until > soonest
    }


def _file(answers: Answers, site: str, reply: Message) -> None:
    if reply.has_error():
        answers.refused[site] = NODE_ERROR
    elif (code := records.status_code(reply.content)) != records.OK:
        answers.refused[site] = code
    else:
        answers.replies[site] = reply
