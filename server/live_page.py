"""`report.html` of a run that goes on."""

import time
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
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
        self._drawing: SpawnProcess | None = None

    def changed(self) -> None:
        self._is_old = True
        if time.monotonic() >= self._next_s and not (self._drawing and self._drawing.is_alive()):
            self._next_s = time.monotonic() + _EVERY_S
            self._drawing = get_context("spawn").Process(target=_draw_meanwhile, args=(self._folder,))
            self._drawing.start()

    def close(self) -> None:
        """The page shows the run as it stands."""
        if self._drawing:
            self._drawing.join()  # it would put an older page in the place of the last one
        if self._is_old:
            _draw(self._folder)
            self._is_old = False


def _draw(run_folder: Path) -> None:
    from server.report import render_report  # matplotlib takes most of a second, and no round needs it

    render_report(run_folder)


def _draw_meanwhile(run_folder: Path) -> None:
    """In a process of its own; what is wrong with the folder the run says itself."""
    with suppress(DataError, KeyboardInterrupt):
        _draw(run_folder)
