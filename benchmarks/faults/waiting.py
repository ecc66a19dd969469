"""Waiting for what others do."""

import time
from collections.abc import Callable
from typing import Final

LONGEST_S: Final = 1200.0
_POLL_S: Final = 0.1


def wait_until(happened: Callable[[], object], what: str, longest_s: float = LONGEST_S) -> None:
    """Raises RuntimeError, saying `what` did not come, where it takes longer."""
    end = time.monotonic() + longest_s
    while not happened():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {longest_s:.0f} s, and it did not come that {what}")
        time.sleep(_POLL_S)
