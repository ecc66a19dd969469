"""The node's connection to the coordinator: what became of each request, said once an outage and not once an attempt.

Flower keeps trying after some failures. After others, which pass just as well, its loop or its heartbeats end and the
process stays. So its requests are seen here on their way: what may pass is made a failure after which it tries again.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import httpx
from flwr.supercore.error import FlowerError
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supernode import fleet_http_connection
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

_REMINDER_S: Final = 60.0
_NOT_NOW: Final = HTTPStatus.SERVICE_UNAVAILABLE
_PASSING: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
"""What a door or a proxy says that is busy or not yet set up; the SuperLink may mean the first of them."""
_GIVE_UP: Final = ("certificate", "ssl", "tls")
"""Flower gives up for good where one of these is in the text of a failure, also where a handshake was cut short."""

log = logging.getLogger("bloodnet.client")


class Connection:
    """Told what became of every request; threads may tell it at once.

    on_change: told whether the coordinator answers, at the first answer and whenever that changes
    """

    def __init__(self, on_change: Callable[[bool], None]) -> None:
        self._on_change, self._lock = on_change, threading.Lock()
        self._began: datetime | None = None
        self._began_s = self._said_s = 0.0
        self._attempts = 0
        self.ever = self.refused = False

    def answered(self) -> None:
        """The coordinator answered."""
        with self._lock:
            if self._began is not None:
                outage = time.monotonic() - self._began_s
                log.info("The coordinator answers again, after %.0f s; attempts: %d", outage, self._attempts)
            if self._began is not None or not self.ever:
                self._on_change(True)
            self.ever, self._began, self._attempts = True, None, 0

    def was_refused(self) -> None:
        """It does not let this site in; Flower then ends the node."""
        if not self.refused:
            log.error(
                "The coordinator refuses this site: its key is not admitted (any more), or the clock here is off; "
                "`bloodnet-client check FOLDER --network` tells which"
            )
        self.refused = True

    def failed(self, why: str) -> None:
        """It did not; `why` in a few words."""
        with self._lock:
            now_s, self._attempts = time.monotonic(), self._attempts + 1
            if self._began is None:
                self._began, self._began_s, self._said_s = datetime.now().astimezone(), now_s, now_s
                self._on_change(False)
                log.warning("The coordinator does not answer (%s); the node keeps trying", why)
            elif now_s - self._said_s >= _REMINDER_S:
                self._said_s = now_s
                log.warning(
                    "The coordinator has not answered since %s; attempts: %d (%s)",
                    *(self._began.isoformat(" ", "seconds"), self._attempts, why),
                )


def watch_requests(connection: Connection) -> None:
    """From now on tell `connection` of every request that a SuperNode of this process makes."""

    class Watched(NodeAuthHttpInterceptor):
        def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
            return _watched(connection, lambda: super(Watched, self).intercept(context, call_next))

    module: Any = fleet_http_connection
    module.NodeAuthHttpInterceptor = Watched


def _watched(connection: Connection, request: Callable[[], httpx.Response]) -> httpx.Response:
    try:
        response = request()
    except httpx.TransportError as error:
        why = re.sub(r" \(_ssl\.c:\d+\)", "", str(error)).rstrip(".") or type(error).__name__
        if "certificate" in why and not connection.ever:  # that does not fit from the start is no outage: the node ends
            log.error("No connection (%s); `bloodnet-client check FOLDER --network` tells who is in between", why)
            raise
        connection.failed(why)
        raise _tried_again(error) from error
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        connection.was_refused()
    elif may_pass(response):
        connection.failed(f"HTTP {response.status_code}")
        response.status_code = _NOT_NOW
    else:
        connection.answered()
    return response


def may_pass(response: httpx.Response) -> bool:
    """Whether it is no answer of the coordinator's own, but a failure of its server or on the way to it."""
    code = response.status_code
    failed = code >= HTTPStatus.INTERNAL_SERVER_ERROR and code != HTTPStatus.NOT_IMPLEMENTED
    return failed or (code in _PASSING and FlowerError.from_json(response.text) is None)


def _tried_again(error: httpx.TransportError) -> httpx.TransportError:
    """The same failure, in words after which Flower tries again."""
    given_up = any(word in str(error).lower() for word in _GIVE_UP)
    return type(error)("no secure connection") if given_up else error
