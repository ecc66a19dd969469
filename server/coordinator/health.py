"""Whether a coordinator serves: its SuperLink answers, and so does its door. For a container's health check."""

import socket
import ssl
from contextlib import closing
from http.client import HTTPException, HTTPSConnection
from typing import Final

from server.coordinator.home import LOOPBACK, Home

_ANSWER_S: Final = 5.0
_EVERY: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}
"""What stands for all of this machine's addresses, and one that can be asked."""


def silent(home: Home) -> tuple[str, ...]:
    """Who does not answer, of the SuperLink and nginx; each is asked as its clients do, over TLS."""
    asked = {"the SuperLink": _superlink_answers(home), "nginx": _door_answers(home)}
    return tuple(name for name, answers in asked.items() if not answers)


def _superlink_answers(home: Home) -> bool:
    context = ssl.create_default_context(cafile=home.inner)
    connection = HTTPSConnection(LOOPBACK, home.settings.superlink_port, timeout=_ANSWER_S, context=context)
    with closing(connection):
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False


def _door_answers(home: Home) -> bool:
    """A handshake and no request: nginx writes down those that it refuses."""
    context = ssl.create_default_context(cafile=home.authority)
    own = home.settings.listen[0].strip("[]")
    try:
        with (
            socket.create_connection((_EVERY.get(own, own), home.settings.port), _ANSWER_S) as plain,
            context.wrap_socket(plain, server_hostname=home.settings.hosts[0]),
        ):
            return True
    except OSError:
        return False
