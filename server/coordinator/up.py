"""`bloodnet-server up`: a SuperLink that this machine alone reaches, and nginx, the door to it, until told to end.

The door opens when the SuperLink lets in those who are admitted and nobody else. If nginx dies, it is started again,
and runs go on. If the SuperLink dies, both end: a service manager starts them again, and `bloodnet-server resume` goes
on with a run.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Final

import psutil

from bloodnet_model.errors import DataError, RoundError, SettingsError
from bloodnet_model.files import alone
from server.certificates import INNER_KEY, SERVER_KEY, is_pair, shown
from server.coordinator.admissions import bring_in_step
from server.coordinator.home import LOOPBACK, Home
from server.coordinator.init import RENEWED_DAYS, require_inner_certificate
from server.coordinator.proxy import PID, PROXY, write_proxy
from server.coordinator.refusals import keep_small
from server.coordinator.switching import finish_switch
from server.launch import NoAnswer, superlink

Say = Callable[[str], None]
Programs = dict[str, subprocess.Popen[bytes]]

_START_S: Final = 120.0
_GRACE_S: Final = 10.0
_POLL_S: Final = 0.5
_HOME: Final = "FLWR_HOME"
_QUIET: Final = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}


def serve(home: Home, say: Say) -> None:
    """Serve until SIGTERM or SIGINT; must be called from the main thread.

    Raises SettingsError or DataError where it cannot begin, RoundError where the SuperLink ends by itself or nginx does
    not start.
    """
    nginx = _nginx()
    finish_switch(home)
    _require_valid_certificate(home, say)
    require_inner_certificate(home)
    write_proxy(home)
    with _alone(home), _told_to_end() as ended, _programs(home) as programs:
        programs["SuperLink"] = _start(superlink_command(home), home, home.folder)
        _wait_until(lambda: _is_in_step(home), "The SuperLink", programs, ended)
        door = Door(home, nginx, programs, ended, say)
        if not ended.is_set():
            door.open()
            say(f"up: hospitals reach {', '.join(home.settings.hosts)} at port {home.settings.port}; Ctrl-C ends it")
        while not ended.wait(_POLL_S):
            door.look()
            _require_alive(programs)
            keep_small(home, programs["nginx"])
    say("down")


class Door:
    """nginx, started again if it dies; reads a renewed certificate, and finishes with the old one what it has begun."""

    def __init__(self, home: Home, nginx: str, programs: Programs, ended: Event, say: Say) -> None:
        self._home, self._nginx, self._programs, self._ended, self._say = home, nginx, programs, ended, say
        self._read = self._files()

    def open(self) -> None:
        """Returns when nginx has its port, or we were told to end; raises RoundError where it does not start."""
        folder = self._home.nginx
        _kill(lambda process: process.cwd() == str(folder))  # its workers outlive it, and have the port
        (folder / PID).unlink(missing_ok=True)
        self._read = self._files()
        command = [self._nginx, "-p", f"{folder}/", "-c", PROXY, "-e", "stderr"]
        self._programs["nginx"] = _start(command, self._home, folder)
        _wait_until((folder / PID).exists, "nginx", self._programs, self._ended)  # written when its port is its own

    def look(self) -> None:
        """Whether nginx is there, and whether there is another certificate, whole and with its key."""
        if (code := self._programs["nginx"].poll()) is not None:
            self._say(f"nginx ended by itself with code {code}, and is started again; its own words are above")
            self.open()
        files = self._files()
        if files == self._read or not is_pair(self._home.certificate, self._home.keys / SERVER_KEY):
            return
        self._programs["nginx"].send_signal(signal.SIGHUP)
        self._read = files
        self._say(f"the certificate is another now; it expires on {shown(self._home.certificate).expires:%d %B %Y}")

    def _files(self) -> tuple[int, ...]:
        paths = (self._home.certificate, self._home.keys / SERVER_KEY)
        return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)


def superlink_command(home: Home) -> list[str]:
    """The SuperLink's, with TLS, SuperNode authentication and a database, on this machine's own address alone."""
    command = [sys.executable, "-P", "-m", "server.coordinator.superlink", "flower-superlink"]  # -P: no module of DIR
    command += ["--host", LOOPBACK, "--port", str(home.settings.superlink_port), "--enable-supernode-auth"]
    command += ["--ssl-ca-certfile", str(home.inner), "--ssl-certfile", str(home.inner)]
    command += ["--ssl-keyfile", str(home.keys / INNER_KEY), "--database", str(home.database)]
    return [*command, "--disable-runtime-dependency-installation"]


def _nginx() -> str:
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if found is None:
        raise SettingsError("nginx is not installed; type `sudo apt-get install nginx-light`.")
    return found


def _require_valid_certificate(home: Home, say: Say) -> None:
    left = shown(home.certificate).days_left(datetime.now(UTC))
    renew = f"`bloodnet-server renew {home.folder}` renews it, and hospitals need nothing new"
    if left < 0:
        raise DataError(f"{home.certificate}: has expired; {renew}.")
    if left <= RENEWED_DAYS:
        say(f"{home.certificate} expires in {left} days; {renew}")


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """No second one in the same folder; what one that was killed has left behind is ended."""
    with alone(home.flower / "lock", f"{home.folder}: is up already; end that `bloodnet-server up` first."):
        _end(home)
        yield


@contextmanager
def _told_to_end() -> Iterator[Event]:
    """Set when this process is asked to end, by a service manager or by Ctrl-C."""
    ended = Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _programs(home: Home) -> Iterator[Programs]:
    programs: Programs = {}
    try:
        yield programs
    finally:
        for program in reversed(programs.values()):  # the door first
            program.terminate()
        for program in programs.values():
            with suppress(subprocess.TimeoutExpired):
                program.wait(_GRACE_S)
        _end(home)
        for program in programs.values():
            program.wait()


def _start(command: list[str], home: Home, folder: Path) -> subprocess.Popen[bytes]:
    """In a session of its own, since Ctrl-C is for us; its files are for their owner alone. Its words are ours."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    surroundings = {"FLWR_LOG_LEVEL": "WARNING", **os.environ, **_QUIET, _HOME: str(home.flower), "PATH": path}
    return subprocess.Popen(
        command, env=surroundings, cwd=folder, umask=0o077, stdin=subprocess.DEVNULL, start_new_session=True
    )


def _is_in_step(home: Home) -> bool:
    """Whether the SuperLink answers, and so lets in who is admitted."""
    with superlink(home.connection) as link, suppress(NoAnswer):
        bring_in_step(home, link)
        return True
    return False


def _wait_until(happened: Callable[[], bool], what: str, programs: Programs, ended: Event) -> None:
    """Until something has happened, or we were told to end."""
    end = time.monotonic() + _START_S
    while not ended.is_set() and not happened():
        _require_alive(programs)
        if time.monotonic() > end:
            raise RoundError(f"{what} is not ready within {_START_S:.0f} s; its own words are above.")
        ended.wait(_POLL_S)


def _require_alive(programs: Programs) -> None:
    for name, program in programs.items():
        if program.poll() is not None:
            raise RoundError(f"{name} ended by itself with code {program.returncode}; its own words are above.")


def _end(home: Home) -> None:
    """Kill what is left of this folder's programs; some of Flower's outlive their parent, and so do nginx's workers."""
    _kill(lambda one: one.environ().get(_HOME) == str(home.flower) or one.cwd() == str(home.nginx))


def _kill(is_ours: Callable[[psutil.Process], bool]) -> None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # others' processes, and those that end meanwhile
            if process.pid != os.getpid() and is_ours(process):
                process.kill()
