"""Batches made one ahead: while the GPU trains on one, a thread reads, sends and augments the next.

Batches come in the order of their tasks, and each is made from its task alone: which thread does it changes no bit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

from bloodnet_model.batches import Batch

T = TypeVar("T")
R = TypeVar("R")


def batches_ahead(make: Callable[[T], Batch], tasks: Iterable[T], device: torch.device) -> Iterator[Batch]:
    """`make(task)` of each task. On a CPU nothing is gained by a thread: the cores are busy with the step itself."""
    if device.type != "cuda":
        yield from map(make, tasks)
        return
    stream = _side_stream(device)

    def made(task: T) -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(stream):
            return make(task), stream.record_event()

    for batch, ready in one_ahead(made, tasks):
        training = torch.cuda.current_stream(device)
        training.wait_event(ready)
        for tensor in vars(batch).values():
            tensor.record_stream(training)  # or the side stream could write over it while it is still trained on
        yield batch


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all rounds of a process: cuBLAS keeps 32 MiB for each stream that it has worked on.

    Of its own priority: PyTorch hands streams out again after 32 of one, and it could be that of a recording.
    """
    return torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]


def one_ahead(make: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
    """`make(task)` of each task in order; the next one is under way in a thread while one is worked on.

    One that finds no memory beside that work is made again in its turn, when the work is over.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[tuple[Future[R], T]] = deque()
        for task in tasks:
            waiting.append((thread.submit(make, task), task))
            if len(waiting) > 1:
                yield _in_its_turn(make, *waiting.popleft())
        for future, task in waiting:
            yield _in_its_turn(make, future, task)


def _in_its_turn(make: Callable[[T], R], future: Future[R], task: T) -> R:
    try:
        return future.result()
    except torch.OutOfMemoryError:
        pass  # and again outside: while the error is handled, it holds what did not fit
    return make(task)
