"""A Flower grid on which some sites send their updates with the sign turned round.

Instead of w + change they answer with w - change: as long as an honest change, so that no gate can tell it, and leading
away from what the site's own patients say. They train honestly, and so they answer every other message.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from strategies import records


class SignFlipped:
    """`grid`, whose `nodes` send flipped updates. A round pushes and pulls; all else is the grid's own."""

    def __init__(self, grid: Grid, nodes: Collection[int]) -> None:
        self._grid, self._nodes = grid, frozenset(nodes)
        self._sent: dict[str, NDArray[np.float32]] = {}

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        pushed = list(messages)
        ids = list(self._grid.push_messages(pushed))
        for message_id, message in zip(ids, pushed, strict=True):
            if message.metadata.dst_node_id in self._nodes and message.metadata.message_type == MessageType.TRAIN:
                self._sent[message_id] = records.unpack_weights(records.arrays_of(message.content))
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        replies = list(self._grid.pull_messages(message_ids))
        for reply in replies:
            previous = self._sent.pop(reply.metadata.reply_to_message_id, None)
            if previous is not None and reply.has_content():
                reply.content = flipped(reply.content, previous)
        return replies

    def __getattr__(self, name: str) -> object:
        return getattr(self._grid, name)


def flipped(content: RecordDict, previous: NDArray[np.float32]) -> RecordDict:
    """An update whose change of `previous` has the other sign; an answer that holds no update stays as it is."""
    if records.status_code(content) != records.OK:
        return content
    update = records.unpack_update(content)
    weights = 2 * previous.astype(np.float64) - update.weights[:]
    return records.pack_update(replace(update, weights=weights.astype(np.float32)))
