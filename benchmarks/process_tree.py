"""A command with all processes it starts: wall seconds, and the most memory they had at one moment."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_SAMPLE_S: Final = 0.2
_LOG_LINES: Final = 15


@dataclass(frozen=True)
class Cost:
    """What a command cost; `shares_mib` are the parts of its processes at the peak, the command's own first."""

    seconds: float
    peak_mib: float
    shares_mib: tuple[float, ...]


def measured(command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None) -> Cost:
    """Run `command` to its end, its output in `log`; raises RuntimeError, with the log's end, where it fails.

    Memory is the sum of proportional set sizes: a page that several processes share counts once.
    """
    peak: tuple[float, ...] = ()
    with log.open("w") as output:
        started = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, env=environment)
        try:
            while not _ended(process):
                peak = max(peak, shares_mib(process.pid), key=sum)
        finally:
            process.kill()
        seconds = time.perf_counter() - started
    if process.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{last}")
    return Cost(seconds, sum(peak), peak)


def shares_mib(pid: int) -> tuple[float, ...]:
    """MiB of a process and of each that came from it; nothing of those that are gone."""
    try:
        root = psutil.Process(pid)
        return tuple(_mib(process) for process in [root, *root.children(recursive=True)])
    except psutil.NoSuchProcess:
        return ()


def _mib(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss) / 2**20
    except psutil.Error:
        return 0.0


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_SAMPLE_S)
    except subprocess.TimeoutExpired:
        return False
    return True
