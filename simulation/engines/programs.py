"""Flower's long-running commands, which end when the block they were started in does, and their children with them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import psutil

from bloodnet_model.errors import RoundError

_ANY: Final = "simulation.engines.flower_command"
_HOME: Final = "FLWR_HOME"
_GRACE_S: Final = 10.0
_QUIET: Final = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}


class Programs:
    """The programs of one block; each has a home and a log in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._started = folder, dict[str, subprocess.Popen[bytes]]()

    def start(self, name: str, command: Sequence[str], module: str = _ANY, **environment: str) -> None:
        """Run a command of Flower's in a session of its own: Ctrl-C reaches this process, which ends it.

        module: which starts it, and sees to it that it ends when this process does
        """
        if name in self._started:  # and was killed
            self._started[name].wait()
        home = self._folder / name
        home.mkdir(exist_ok=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        surroundings = {**os.environ, "PATH": path, **_QUIET, _HOME: str(home), **environment}
        runner = [sys.executable, "-m", module, str(os.getpid()), *command]
        with self._log(name).open("ab") as log:
            self._started[name] = subprocess.Popen(
                runner, env=surroundings, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def require_alive(self) -> None:
        """Raises RoundError, with the last line of its log, where a program has ended by itself."""
        for name, process in self._started.items():
            if process.poll() is not None:
                last = self._log(name).read_text(errors="replace").strip().rpartition("\n")[2]
                raise RoundError(f"{name}: ended by itself with code {process.returncode} ({last or 'nothing said'}).")

    def end(self) -> None:
        """Ask the programs to end, then kill what is left of them and of what they started."""
        for process in self._started.values():
            process.terminate()
        psutil.wait_procs(self._family(), _GRACE_S)
        for member in self._family():
            with suppress(psutil.Error):
                member.kill()
        for process in self._started.values():
            process.wait()

    def _family(self) -> list[psutil.Process]:
        """All processes with a home in this folder: some of Flower's leave their parent's session, or outlive it."""
        family = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # others' processes, and those that end meanwhile
                if self._folder in Path(process.environ().get(_HOME, "")).parents:
                    family.append(process)
        return family

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


@contextmanager
def programs(folder: Path) -> Iterator[Programs]:
    """Programs to start, in an empty `folder`; SIGTERM ends the block as Ctrl-C does."""
    started, before = Programs(folder), signal.signal(signal.SIGTERM, _leave)
    try:
        yield started
    finally:
        started.end()
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
