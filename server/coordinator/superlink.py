"""`python -m server.coordinator.superlink flower-superlink ARGUMENT...`: Flower's SuperLink; who asks is who signed.

Flower holds the number of the node that asks against the key that signed the request, and no more: it believes the
sender that an answer names, and its ServerApp believes what is written inside, where question and sender are named once
more. A site that learnt another's number or question could answer for it, or ask it something as the coordinator. So
the function that holds numbers against keys is wrapped, and holds these against them, too.
"""

import sys
from collections.abc import Callable
from functools import wraps
from types import SimpleNamespace
from typing import Any, Final, cast

from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.common.serde import message_from_proto
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.supercore import sql_mixin
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.superlink import extensions
from flwr.superlink.cli import flower_superlink
from flwr.superlink.dependencies.linkstate import get_linkstate
from flwr.superlink.routers.fleet import node_auth
from starlette.middleware import Middleware

from bloodnet_model.garbage import leave_as_it_is, search_seldom
from server.coordinator.whole_bodies import WholeBodies

AUTHENTICATE: Final = "authenticate_node"
OUTERMOST: Final = "get_middleware"
"""Flower's hook for what stands before its own middleware."""
PRAGMAS: Final = "SQLITE_PRAGMAS"
"""Flower's, of a database that it opens, name and value each."""
LARGE_PAGES: Final = ("page_size", "65536")
"""Of a new database: weights lie in it for a while, in pieces of 5 MB, which take half as long as in pages of 4 kB."""
Authenticate = Callable[[Any], None]
"""Flower's, of an HTTP request: raises where the number of the node that asks is not that of the key that signed."""


def main() -> None:
    sys.argv = sys.argv[1:]
    setattr(node_auth, AUTHENTICATE, in_its_own_name(getattr(node_auth, AUTHENTICATE)))
    setattr(extensions, OUTERMOST, lambda: (Middleware(WholeBodies),))
    setattr(sql_mixin, PRAGMAS, (LARGE_PAGES, *getattr(sql_mixin, PRAGMAS)))
    search_seldom()  # for each search holds up the next requests
    leave_as_it_is()
    flower_superlink()


def in_its_own_name(authenticate: Authenticate) -> Authenticate:
    """`authenticate`, which refuses messages in the name of others, too, and says in the log which site tried."""

    @wraps(authenticate)
    def authenticate_sender(request: Any) -> None:
        authenticate(request)
        asked = request.state.protobuf_request
        if not isinstance(asked, PushMessagesRequest):
            return
        own, named = asked.node.node_id, {message.metadata.src_node_id for message in asked.messages_list}
        names = {node.node_id: node.name for node in get_linkstate(request).get_node_info(node_ids=[own, *named])}
        names[SUPERLINK_NODE_ID] = "the coordinator"
        if others := named - {own}:
            whose = " and ".join(sorted(names.get(other, "nobody who is admitted") for other in others))
            _refuse(f"{names[own]} signed a message in the name of {whose}")
        if not _is_what_its_envelope_says(asked):
            _refuse(f"{names[own]} sent a message that is another inside than outside")

    return authenticate_sender


def _refuse(what: str) -> None:
    """Flower answers with HTTP 403, and writes the sentence into its log."""
    raise FlowerError(ApiErrorCode.NO_PERMISSIONS, f"{what}: refused, and nothing of it counts; ask that site why.")


def _is_what_its_envelope_says(asked: PushMessagesRequest) -> bool:
    """Whether what will be read from the one message is its envelope: sender, question and all.

    A message is sent as an object named by a SHA-256, of its envelope's words and the names of the objects in it.
    """
    if (len(asked.messages_list), len(asked.message_object_trees)) != (1, 1):
        return False
    message, tree = message_from_proto(asked.messages_list[0]), asked.message_object_trees[0]
    if message.has_content():
        if len(tree.children) != 1:
            return False
        message.content = cast(Any, SimpleNamespace(object_id=tree.children[0].object_id))
    return bool(message.object_id == tree.object_id == message.metadata.message_id)


if __name__ == "__main__":
    main()
