"""`report.html` of a run that goes on; `python -m server.live_page RUN` draws it once, when nothing else is to be done.

That is a fresh Python: what it takes to import for a run, and a second of the processor for it, no page needs.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from bloodnet_model.errors import DataError

_EVERY_S: Final = 30.0


class LivePage:
    """The run folder's page: drawn every half minute at most while the run changes, and once more at its end.

    While the run goes on a process of its own draws it, and is gone with what that took: memory grows with the rounds.
    """

    def __init__(self, run_folder: Path) -> None:
        self._folder = run_folder
        self._is_old, self._next_s = False, time.monotonic() + _EVERY_S
        self._drawing: subprocess.Popen[bytes] | None = None

    def changed(self) -> None:
        self._is_old = True
        if time.monotonic() >= self._next_s and not (self._drawing and self._drawing.poll() is None):
            self._next_s = time.monotonic() + _EVERY_S
            command = [sys.executable, "-m", "server.live_page", str(self._folder)]
            self._drawing = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})

    def close(self) -> None:
        """The page shows the run as it stands."""
        if self._drawing:
            self._drawing.wait()  # it would put an older page in the place of the last one
        if self._is_old:
            _draw(self._folder)
            self._is_old = False


def _draw(run_folder: Path) -> None:
    from server.report import render_report  # matplotlib takes most of a second, and no round needs it

    render_report(run_folder)


if __name__ == "__main__":
    os.nice(19)
    with suppress(DataError, KeyboardInterrupt):  # what is wrong with the folder, the run says itself
        _draw(Path(sys.argv[1]))
