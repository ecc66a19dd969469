"""A program that is started again whenever it ends, as the documents say of systemd: Restart=always, RestartSec=5."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Final

RESTART_S: Final = 5.0
_GRACE_S: Final = 30.0


class Service:
    """`command`, kept running between `start` and `stop`; what it says is in the file `log`."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log, self.restarts = log, 0
        self._command, self._stopped = list(command), Event()
        self._thread: Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, command: Sequence[str] = ()) -> None:
        """Start it, from now on with another command if one is given."""
        self._command = list(command) or self._command
        self._stopped.clear()
        self._begin()
        self._thread = Thread(target=self._keep, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end, and see to it."""
        self._stopped.set()
        if self._thread is not None and self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._thread.join()

    def _begin(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _keep(self) -> None:
        assert self._process is not None
        while True:
            self._wait()
            if self._stopped.wait(RESTART_S):
                return
            self.restarts += 1
            self._begin()

    def _wait(self) -> None:
        assert self._process is not None
        while self._process.poll() is None:
            if self._stopped.wait(0.1):
                try:
                    self._process.wait(_GRACE_S)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
