"""Nothing that was started outlives the measurement, however it ends: also what was started by what was killed."""

import ctypes
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

import psutil

_SET_CHILD_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
_GRACE_S: Final = 10.0


@contextmanager
def nothing_remains() -> Iterator[None]:
    """At the end of the block all that this process has started is killed, in whatever session it is.

    What loses its parent becomes a child of this process, as nginx's workers do when nginx is killed.
    """
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        while left := [one for one in psutil.Process().children(recursive=True) if _lives(one)]:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, _GRACE_S)


def end_when_told() -> None:
    """Ctrl-C and SIGTERM end this process once; what comes while it puts things away changes nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(number: int, _: object) -> NoReturn:
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + number)


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
