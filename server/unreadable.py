"""An answer that cannot be read costs its site the round, and not the run.

Flower's ServerApp raises where it makes nothing of what a site sent, and loses all answers that came with that one. So
its function that reads an answer is wrapped: such a one becomes an answer with the code `unreadable`. Whose it is, is
said in its first object, which the SuperLink has held against its envelope (`server/coordinator/superlink.py`).
"""

import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from flwr.app import Message, RecordDict
from flwr.app.message import make_message
from flwr.common.serde_utils import metadata_from_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import InflatableObject, get_object_body

from server.exchange import UNREADABLE
from strategies import records

READ: Final = "inflate_object_from_contents"
Read = Callable[..., InflatableObject]
"""Flower's: makes a message of the objects that were sent for it, by the name of the first."""

log = logging.getLogger("bloodnet.server")


def survive_unreadable_answers(grid: Grid) -> None:
    """From now on a ServerApp that is given such a grid does; one on one machine has no bytes of others to read."""
    module = sys.modules[type(grid).__module__]
    if hasattr(module, READ):
        setattr(module, READ, surviving(getattr(module, READ)))


def surviving(read: Read) -> Read:
    """`read`, which raises nowhere but where not even the first object can be read."""

    @wraps(read)
    def read_or_refuse(object_id: str, object_contents: dict[str, bytes], **others: Any) -> InflatableObject:
        first = object_contents[object_id]  # Flower takes it out
        try:
            return read(object_id, object_contents, **others)
        except Exception as error:  # there is no end to what bytes of others may raise
            log.warning("An answer cannot be read (%s)", type(error).__name__)
            return _refused(first)

    return read_or_refuse


def _refused(first: bytes) -> Message:
    said = ProtoMessage.FromString(get_object_body(first, Message))
    content = RecordDict({records.STATUS: records.status(UNREADABLE)})
    return make_message(metadata_from_proto(said.metadata), content)
