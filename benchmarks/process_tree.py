"""A command with all processes it starts: seconds by the clock and of processors, and the most memory at a moment."""

import itertools
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_SAMPLE_S: Final = 0.2
_OF_MEMORY: Final = 5
"""Samples from one look at the memory to the next: it takes the kernel 7 ms a process, from whatever is measured."""
_LOG_LINES: Final = 15


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    cpu_seconds: of all its processes, each as it was last seen alive
    shares_mib:  of its processes at the peak, the command's own first
    """

    seconds: float
    cpu_seconds: float
    shares_mib: tuple[float, ...]

    @property
    def peak_mib(self) -> float:
        return sum(self.shares_mib)


def measured(command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None) -> Cost:
    """Run `command` to its end, its output in `log`; raises RuntimeError, with the log's end, where it fails.

    Memory is the sum of proportional set sizes: a page that several processes share counts once.
    """
    peak: tuple[float, ...] = ()
    used: dict[int, float] = {}
    with log.open("w") as output:
        started = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, env=environment)
        try:
            for sample in itertools.count(1):
                if _ended(process):
                    break
                used |= cpu_seconds(psutil.Process())
                if sample % _OF_MEMORY == 0:
                    peak = max(peak, _shares_mib(process.pid), key=sum)
        finally:
            process.kill()
        seconds = time.perf_counter() - started
    if process.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{last}")
    return Cost(seconds, sum(used.values()), peak)


def cpu_seconds(root: psutil.Process) -> dict[int, float]:
    """Processor seconds of each process that came from `root` and lives, without those of `root`."""
    seen = {}
    for process in root.children(recursive=True):
        with suppress(psutil.Error):
            times = process.cpu_times()
            seen[process.pid] = times.user + times.system
    return seen


def _shares_mib(pid: int) -> tuple[float, ...]:
    """Of a process and of each that came from it; nothing of those that are gone."""
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return ()
    return tuple(share for process in processes if (share := _share_mib(process)) is not None)


def _share_mib(process: psutil.Process) -> float | None:
    try:
        return float(process.memory_full_info().pss) / 2**20
    except psutil.Error:
        return None


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_SAMPLE_S)
    except subprocess.TimeoutExpired:
        return False
    return True
