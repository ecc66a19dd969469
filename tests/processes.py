"""What tests of real processes wait for."""

import time
from collections.abc import Callable

import psutil


def wait_until(happened: Callable[[], object], longest_s: float = 500.0) -> None:
    """Until something has happened; a machine that is shared by many takes its time."""
    end = time.monotonic() + longest_s
    while not happened():
        assert time.monotonic() < end, f"has not happened within {longest_s:.0f} s"
        time.sleep(0.1)


def lives(process: psutil.Process) -> bool:
    """A zombie has ended, however long whoever inherits it leaves it so."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
