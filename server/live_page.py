"""`report.html` of a run that goes on."""

import math
import time
from pathlib import Path
from typing import Final

from server.report import render_report

_SHARE: Final = 0.1


class LivePage:
    """The run folder's page, drawn anew when the run has changed, but for a tenth of the time at most.

    A page of many rounds takes most of a second, and would take as long as its rounds where they are short.
    """

    def __init__(self, run_folder: Path) -> None:
        self._folder = run_folder
        self._is_old, self._next_s = False, -math.inf

    def changed(self) -> None:
        self._is_old = True
        started_s = time.monotonic()
        if started_s >= self._next_s:
            self.close()
            self._next_s = started_s + (time.monotonic() - started_s) / _SHARE

    def close(self) -> None:
        """The page shows the run as it stands."""
        if self._is_old:
            render_report(self._folder)
            self._is_old = False
