"""The local engine: a Flower Grid on this machine, without sockets and without Ray.

It drives the same ClientApp and ServerApp as a real federation. The sites of a round run in a few worker processes
of one thread each; the result does not depend on how many there are.
"""

import math
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Self

from flwr.app import Context, Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from simulation.engines.workers import new_pool

RunConfig = Mapping[str, str | int | float | bool]
"""Flower's flat configuration of a run: what the ServerApp is given."""

_PULL_WAIT_S = 1.0  # so that an answer is taken at once, without asking for it all the time
_TASKS_A_WORKER = 2
_WORKER_DIED = 1  # any code: the round loop only sees that the node failed


def run_local(config: RunConfig, sites: Sequence[Path], workers: int) -> None:
    """Drive the ServerApp over the local engine."""
    with LocalGrid(sites, workers) as grid:
        from server.app import app  # while the workers start, which need none of it

        app(grid, server_context(config))


class LocalGrid(Grid):
    """One node a site folder; messages are answered in worker processes."""

    def __init__(self, site_folders: Sequence[Path], workers: int) -> None:
        self._folders = dict(enumerate(site_folders, start=1))
        self._workers = max(1, min(workers, len(self._folders)))
        self._pool = new_pool(self._workers)
        self._unsent: dict[str, Message] = {}
        self._pending: dict[str, tuple[Message, Future[Message]]] = {}
        # Flower sets these for the process of a task; without them no Message can be made.
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def get_node_ids(self) -> list[int]:
        return list(self._folders)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            ids.append(uuid.uuid4().hex)
            message.metadata.__dict__["_message_id"] = ids[-1]  # Flower leaves this to the SuperLink
            self._unsent[ids[-1]] = message
        self._keep_busy()
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Those answered, waiting a little for the first; in between, no more are asked than keep the workers busy."""
        asked = set(message_ids)
        self._keep_busy()
        wait([future for i, (_, future) in self._pending.items() if i in asked], _PULL_WAIT_S, FIRST_COMPLETED)
        done = [i for i, (_, future) in self._pending.items() if i in asked and future.done()]
        return [_reply(*self._pending.pop(i)) for i in done]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        waiting, end = self.push_messages(messages), time.monotonic() + (math.inf if timeout is None else timeout)
        replies: list[Message] = []
        while len(replies) < len(waiting) and time.monotonic() < end:
            replies += self.pull_messages(waiting)
        return replies

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    def set_run(self, run: Run) -> None:
        raise NotImplementedError("the local engine holds one run")

    @property
    def run(self) -> Run:
        raise NotImplementedError("the local engine holds one run")

    def _keep_busy(self) -> None:
        """Answers lie in memory until they are pulled: so many are asked for that no worker waits for the next.

        A message that nobody waits for any more is not asked, as it is not on a SuperLink, and its answer is dropped.
        """
        self._unsent = {i: message for i, message in self._unsent.items() if not _is_over(message)}
        self._pending = {i: (of, to) for i, (of, to) in self._pending.items() if not (to.done() and _is_over(of))}
        running = sum(not future.done() for _, future in self._pending.values())
        for message_id in list(self._unsent)[: max(0, _TASKS_A_WORKER * self._workers - running)]:
            message = self._unsent.pop(message_id)
            self._pending[message_id] = message, self._submit(message)

    def _submit(self, message: Message) -> Future[Message]:
        node = message.metadata.dst_node_id
        try:
            return self._pool.submit(_answer, message, node, str(self._folders[node]))
        except BrokenProcessPool:  # a worker was killed in an earlier step
            self._pool = new_pool(self._workers)
            return self._pool.submit(_answer, message, node, str(self._folders[node]))


def server_context(config: RunConfig) -> Context:
    """What Flower hands to a ServerApp."""
    return Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=dict(config))


def _answer(message: Message, node_id: int, folder: str) -> Message:
    """In a worker: what a SuperNode does with a message."""
    from client.app import SITE_FOLDER, app

    context = Context(run_id=1, node_id=node_id, node_config={SITE_FOLDER: folder}, state=RecordDict(), run_config={})
    return app(message, context)


def _is_over(message: Message) -> bool:
    return message.metadata.created_at + message.metadata.ttl < time.time()


def _reply(message: Message, future: Future[Message]) -> Message:
    try:
        return future.result()
    except Exception as error:  # the worker died: the site's trouble, not the run's
        return Message(Error(_WORKER_DIED, type(error).__name__), reply_to=message)
