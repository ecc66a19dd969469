"""A ServerApp ends with the process that Flower told it to end with, come what may.

Flower's own watch asks whether that process has a number, which a zombie has until somebody waits for it, and then
raises SIGINT, whose handler tells the SuperLink and can wait for a lock that the code it interrupted holds.
"""

import os
import sys
import time
from collections.abc import Sequence
from threading import Thread
from typing import Final

_OPTION: Final = "--parent-pid"
_POLL_S: Final = 1.0
_GRACE_S: Final = 10.0
"""Twice as long as Flower gives itself to end."""


def end_with_parent(arguments: Sequence[str] = sys.argv, grace_s: float = _GRACE_S) -> None:
    """Watch from a thread; nothing where `arguments`, those of this process, name no parent.

    What counts is in the journal, so the process may end at any moment.
    """
    if _OPTION in arguments:
        outlive(int(arguments[arguments.index(_OPTION) + 1]), grace_s)


def outlive(parent: int, grace_s: float = _GRACE_S) -> None:
    """This process ends so long after its parent, whatever its main thread waits for then."""
    Thread(target=_watch, args=(parent, grace_s), daemon=True).start()


def _watch(parent: int, grace_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    time.sleep(grace_s)
    os._exit(1)
