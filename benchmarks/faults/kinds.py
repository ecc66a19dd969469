"""What a fault is: a name, what is done, and how it is done and undone."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import psutil

from benchmarks.faults.federation import Federation
from benchmarks.faults.run import Run
from benchmarks.faults.waiting import wait_until

CUT_S: Final = 60.0


@dataclass(frozen=True)
class Fault:
    """Made while a round is going on.

    made:   with a federation and its run; entering it makes the fault and, where it has an end, ends it. What lasts
        until the round is over is undone at the exit.
    lasts:  whether it is held up for a while, and not over in a moment
    mended: by whom, beside the coordinator
    """

    name: str
    title: str
    made: Callable[[Federation, Run], AbstractContextManager[None]]
    lasts: bool = False
    mended: str = ""


def found(processes: Callable[[], list[psutil.Process]], what: str) -> psutil.Process:
    """The first of these, as soon as there is one."""
    wait_until(processes, what)
    return processes()[0]


def for_a_while() -> None:
    time.sleep(CUT_S)
