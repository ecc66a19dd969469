"""Work on many items over the cores of one machine, in order, surviving a process that dies of an item."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import get_context
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD: Final = 3
"""Tasks handed out for each process: enough that none waits, few enough that results do not pile up."""


def usable_cores(limit: int | None) -> int:
    """Cores this process may use, at most `limit`."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, limit or available)


def ordered_map(function: Callable[[T], R], tasks: Iterable[T], cores: int, worth: int) -> Iterator[tuple[T, R | None]]:
    """(task, function(task)) in the order of the tasks; None in place of a result where a process died of the task.

    Fewer than `worth` tasks are done here: a process costs a second to start. `function`, tasks and results travel
    between processes; a decoder that crashes takes its process with it, never this one.
    """
    tasks = iter(tasks)
    first = list(islice(tasks, worth))
    if cores == 1 or len(first) < worth:
        yield from ((task, function(task)) for task in chain(first, tasks))
        return
    pool = _new_pool(cores)
    waiting: deque[tuple[T, Future[R]]] = deque()
    try:
        for task in chain(first, tasks):
            waiting.append((task, _submitted(pool, function, task)))
            if len(waiting) >= _AHEAD * cores:
                pool = yield from _first(function, waiting, pool, cores)
        while waiting:
            pool = yield from _first(function, waiting, pool, cores)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _first(
    function: Callable[[T], R], waiting: deque[tuple[T, Future[R]]], pool: ProcessPoolExecutor, cores: int
) -> Generator[tuple[T, R | None], None, ProcessPoolExecutor]:
    """Yield the result that is due, and return the pool to go on with."""
    task, future = waiting.popleft()
    try:
        yield task, future.result()
        return pool
    except BrokenProcessPool:
        pool.shutdown(wait=False)
    # Nobody knows which task it died of: this one is tried in a process of its own, the others once more.
    with _new_pool(1) as alone:
        try:
            yield task, alone.submit(function, task).result()
        except BrokenProcessPool:
            yield task, None
    pool = _new_pool(cores)
    for place, (other, future) in enumerate(waiting):
        if not future.done() or future.exception() is not None:
            waiting[place] = other, _submitted(pool, function, other)
    return pool


def _submitted(pool: ProcessPoolExecutor, function: Callable[[T], R], task: T) -> Future[R]:
    """The future of a task; one that says so where the pool has died since the last task."""
    try:
        return pool.submit(function, task)
    except BrokenProcessPool as error:
        future: Future[R] = Future()
        future.set_exception(error)
        return future


def _new_pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
