"""One run as its coordinator sees it: launched, watched, and gone on with whenever it stops."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.federation import Federation, command
from benchmarks.faults.waiting import wait_until
from server.journal import FOLDER
from server.run_folder import ROUNDS
from server.run_log import LOG


@dataclass
class Run:
    """`said` are the last words of each command that watched the run when it stopped."""

    federation: Federation
    folder: Path
    said: list[str] = field(default_factory=list)
    _watching: subprocess.Popen[str] | None = None

    def launch(self) -> None:
        self._type("launch", self.federation.home.folder, "--config", self.federation.settings, "--out", self.folder)

    @property
    def rounds(self) -> list[dict[str, Any]]:
        """The rounds that are over."""
        return _lines(self.folder / ROUNDS)

    @property
    def is_asking(self) -> bool:
        """Whether the sites have been asked to train, and none has answered."""
        events = _lines(self.folder / FOLDER / LOG)
        return bool(events) and events[-1]["event"] == "plan"

    def wait_for_round(self, number: int) -> None:
        self.wait_until(lambda: len(self.rounds) >= number, f"round {number} is over")

    def wait_until(self, happened: Callable[[], object], what: str) -> None:
        """And go on with the run whenever it has stopped."""

        def tended() -> object:
            self._tend()
            return happened()

        wait_until(tended, what)

    def kill(self) -> None:
        """End whoever watches it, as a reboot does."""
        assert self._watching is not None
        self._watching.kill()

    def leave(self) -> None:
        """See to it that nobody watches it any more."""
        if self._watching is not None:
            self._watching.kill()
            self._watching.communicate()

    def _tend(self) -> None:
        """Type `resume` as soon as the SuperLink is there, where the run has stopped."""
        process = self._watching
        if process is not None and process.poll() is not None and self.federation.is_up:
            self.said.append(process.communicate()[1].strip().rpartition("\n")[2])
            self._type("resume", self.folder)

    def _type(self, *words: str | Path) -> None:
        self._watching = subprocess.Popen(
            command("bloodnet-server", *words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )


def weights_of(run: Path) -> dict[int, str]:
    """Digests of the weights after each round of the run in a folder."""
    return {event["round"]: event["sha256"] for event in _lines(run / FOLDER / LOG) if event["event"] == "weights"}


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError):  # not there yet, or half written
        return []
