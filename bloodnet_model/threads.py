"""Parts of one study at a time on every core.

A thread a part, each computing on one core alone, in place of one part whose every operator is split among cores: there
the cores wait for each other some hundred times a study, which on a machine that does other work as well takes longer
than the work. NumPy, PyTorch and the runtimes of exports release the interpreter's lock.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def in_threads(function: Callable[[T], R], parts: Sequence[T], cores: int) -> list[R]:
    """`function` of each part, in their order, with at most `cores` at a time; raises what the first failure raised."""
    if cores == 1 or len(parts) == 1:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(function, parts))
