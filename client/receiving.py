"""A message that has come is answered at once, and a node that has just answered asks again soon.

Flower looks every 3 s for a message, every second for what to start, and starts a fresh Python for each; where little
is trained, a round is made of that. Its SuperNode is told that others start the app (`--isolation process`), and its
functions that fetch a message and its objects are wrapped, after the guard. Where nothing comes for a while, nothing is
asked more often than Flower does.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib import import_module
from threading import Lock, Thread
from typing import Any, Final

import httpx
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.supercore.runtime import RuntimeHttpClient

from client.guard import MODULE, PULL

SOON_S: Final = 0.1
_SHORT_PAUSES: Final = 200
_EAGER_S: Final = 20.0
_POLL_S: Final = 0.3
_AGAIN_S: Final = 10.0

TIME: Final = "time"
PULL_OBJECTS: Final = "pull_objects"
PullObjects = Callable[..., dict[str, bytes]]
"""Flower's: the objects of a message by their names."""

Pull = Callable[..., int | None]
"""Flower's: fetches a message, and returns the number of its run; None where there is none."""


def answer_at_once(address: str) -> None:
    """From now on a SuperNode of this process does so; `address` is its own, on loopback."""
    node = import_module(MODULE)
    starter, pauses = Starter(address), Pauses()

    def on_message() -> None:
        pauses.shorten()
        starter.start()

    setattr(node, PULL, eager(getattr(node, PULL), on_message))
    setattr(node, TIME, pauses)
    setattr(node, PULL_OBJECTS, remembering(getattr(node, PULL_OBJECTS)))
    Thread(target=starter.start_again, daemon=True).start()


def eager(pull: Pull, on_message: Callable[[], None]) -> Pull:
    """`pull`, asked again and again for a while after each message; `on_message` is called when one has come."""
    has_answered = False

    @wraps(pull)
    def pull_eagerly(**others: Any) -> int | None:
        nonlocal has_answered
        until = time.monotonic() + (_EAGER_S if has_answered else 0.0)
        while (run := pull(**others)) is None and time.monotonic() < until:
            time.sleep(_POLL_S)
        has_answered = run is not None  # by Flower, before it calls this again
        if has_answered:
            on_message()
        return run

    return pull_eagerly


class Pauses:
    """In place of the `time` of Flower's SuperNode, which looks every half second whether its app has answered.

    In the first ten seconds after a message it looks ten times as often.
    """

    def __init__(self) -> None:
        self._short = 0

    def shorten(self) -> None:
        self._short = _SHORT_PAUSES

    def sleep(self, seconds: float) -> None:
        if seconds < 1 and self._short:
            self._short -= 1
            seconds /= 10
        time.sleep(seconds)


def remembering(pull_objects: PullObjects) -> PullObjects:
    """`pull_objects`, but not of what the message before had, too: a round trains on what the last one was tested on.

    Objects are named by their SHA-256, and Flower holds them against it. A message is announced before its objects are
    all there; then it is asked for them again soon, where Flower would wait a second.
    """
    before: dict[str, bytes] = {}

    @wraps(pull_objects)
    def pull_new(names: list[str], **others: Any) -> dict[str, bytes]:
        nonlocal before
        known = {name: before[name] for name in names if name in before}
        new = [name for name in names if name not in known]
        before = known | pull_objects(new, initial_backoff=SOON_S, **others)
        return dict(before)  # of which Flower takes one after the other out

    return pull_new


class Starter:
    """Starts the app for what the SuperNode has received, through a process that has everything ready."""

    def __init__(self, address: str) -> None:
        self._address, self._lock = address, Lock()
        self._process = self._ready()
        self._client = RuntimeHttpClient.from_server_address(
            server_address=address,
            insecure=True,
            root_certificates=None,
            interceptors=[RuntimeVersionHttpInterceptor(component_name="SuperExec")],
            retry_invoker=make_simple_http_retry_invoker(),
        )

    def start(self) -> None:
        """Where there is something to start: of a refused bundle there is nothing."""
        with self._lock:
            task = self._client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP]))
            if not task.token:
                return
            if self._process.poll() is not None:  # it was killed
                self._process = self._ready()
            assert self._process.stdin is not None
            self._process.stdin.write(f"{task.token}\n")
            self._process.stdin.flush()

    def start_again(self) -> None:
        """For ever: an app that was killed before it had begun is one to start once more, when its lease is over."""
        while True:
            time.sleep(_AGAIN_S)
            with suppress(httpx.HTTPError, OSError):  # or its process died just now: the lease will end again
                self.start()

    def _ready(self) -> "subprocess.Popen[str]":
        """Its command line says what it starts, for whoever looks for that."""
        command = [sys.executable, "-P", "-m", "client.app_starter", self._address, str(os.getpid()), "flwr-clientapp"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
