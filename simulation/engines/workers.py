"""Worker processes of one thread each: copies of one process that has imported what a site needs."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.forkserver import ensure_running
from typing import Final

_FORKSERVER: Final = "forkserver"
_IMPORTED: Final = "simulation.engines.imported"


def default_workers() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_ready() -> None:
    """Start the process that workers will be copies of, so that it imports meanwhile; itself it takes no time."""
    if _FORKSERVER in get_all_start_methods():
        get_context(_FORKSERVER).set_forkserver_preload([_IMPORTED])
        ensure_running()


def new_pool(workers: int) -> ProcessPoolExecutor:
    get_ready()
    method = _FORKSERVER if _FORKSERVER in get_all_start_methods() else "spawn"
    return ProcessPoolExecutor(workers, mp_context=get_context(method), initializer=one_thread)


def one_thread() -> None:
    """For a worker process: as many of them as there are cores share these best."""
    import torch

    torch.set_num_threads(1)
