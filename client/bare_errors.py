"""When the app's own process fails, Flower sends the text of the exception: here only its number leaves.

Such a text may name a folder. It stays in the node's log, where the failed process has written it.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import wraps
from typing import Any, Final

from flwr.app import Message
from flwr.app.error import Error
from flwr.app.message import make_message
from flwr.supercore.inflatable.inflatable_object import get_object_tree
from flwr.supercore.object_store import ObjectStore
from flwr.supernode.nodestate import NodeState

SAID: Final = "The node's own log has the reason."
"""The whole text of every error that leaves."""

OnError = Callable[[Message], None]
"""Told every answer that is an error, before it leaves."""


def without_texts(push: Callable[..., None], on_error: OnError) -> Callable[..., None]:
    """Flower's function that sends a node's answers, without the texts of errors."""

    @wraps(push)
    def push_bare(*, state: NodeState, object_store: ObjectStore, **others: Any) -> None:
        push(state=_BareState(state, object_store, on_error), object_store=object_store, **others)

    return push_bare


class _BareState:
    """A node's state whose answers, if they are errors, have no text; all else is as in `state`."""

    def __init__(self, state: NodeState, store: ObjectStore, on_error: OnError) -> None:
        self._state, self._store, self._on_error = state, store, on_error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def get_messages_legacy(self, **filters: Any) -> Sequence[Message]:
        return [self._bare(message) for message in self._state.get_messages_legacy(**filters)]

    def _bare(self, message: Message) -> Message:
        if not message.has_error():
            return message
        bare = make_message(deepcopy(message.metadata), error=Error(message.error.code, SAID))
        bare.metadata.__dict__["_message_id"] = bare.object_id
        self._forget(message.metadata.message_id)
        self._store.preregister(bare.metadata.run_id, get_object_tree(bare))
        self._store.put(bare.object_id, bare.deflate())
        self._on_error(bare)
        return bare

    def _forget(self, message_id: str) -> None:
        self._state.delete_messages(message_ids=[message_id])
        self._store.delete(message_id)
