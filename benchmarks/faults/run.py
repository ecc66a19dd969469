"""One run as its coordinator sees it: launched, watched, and gone on with whenever it stops."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.federation import Federation, command
from benchmarks.faults.waiting import LONGEST_S, wait_until
from server.journal import FOLDER, LOG
from server.run_folder import MODEL, ROUNDS


@dataclass
class Run:
    """`said` are the last words of each command that ended before the run did."""

    federation: Federation
    folder: Path
    said: list[str] = field(default_factory=list)
    _watching: subprocess.Popen[str] | None = None
    _is_over: bool = False

    def launch(self) -> None:
        self._type("launch", self.federation.home.folder, "--config", self.federation.settings, "--out", self.folder)

    @property
    def resumed(self) -> int:
        """How often `bloodnet-server resume` had to be typed."""
        return len(self.said)

    @property
    def rounds(self) -> list[dict[str, Any]]:
        """The rounds that are over."""
        return _lines(self.folder / ROUNDS)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The journal."""
        return _lines(self.folder / FOLDER / LOG)

    @property
    def model(self) -> bytes:
        return (self.folder / MODEL).read_bytes()

    def is_training(self, number: int) -> bool:
        """Whether that round has begun, and is not over."""
        return any(event["event"] == "plan" and event["round"] == number for event in self.events)

    def wait_for_round(self, number: int, longest_s: float = LONGEST_S) -> None:
        wait_until(lambda: self._tended() and len(self.rounds) >= number, f"round {number} is over", longest_s)

    def wait_for_end(self) -> None:
        wait_until(lambda: self._tended() and self._is_over, "the run is over")

    def kill(self) -> None:
        """End whoever watches it, as a reboot does."""
        assert self._watching is not None
        self._watching.kill()

    def leave(self) -> None:
        """See to it that nobody watches it any more."""
        if self._watching is not None:
            self._watching.kill()
            self._watching.communicate()

    def _tended(self) -> bool:
        """Always true; a run that has stopped is gone on with, as soon as the SuperLink is there."""
        process = self._watching
        if process is None or self._is_over or process.poll() is None:
            return True
        if process.returncode == 0:
            self._is_over = True
        elif self.federation.is_up:
            self.said.append(process.communicate()[1].strip().rpartition("\n")[2])
            self._type("resume", self.folder)
        return True

    def _type(self, *words: str | Path) -> None:
        self._watching = subprocess.Popen(
            command("bloodnet-server", *words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError):  # not there yet, or half written
        return []
