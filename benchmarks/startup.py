"""Seconds from a command's name to its help."""

import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("bloodnet-simulate", "bloodnet-client", "bloodnet-server")
_RUNS = 5


def measure() -> dict[str, float]:
    """Median wall seconds of `--help` for each command, and of an interpreter that does nothing."""
    bin_folder = Path(sys.executable).parent
    commands = {"python -c pass": [sys.executable, "-c", "pass"]}
    commands |= {name: [str(bin_folder / name), "--help"] for name in COMMANDS}
    figures = {}
    for name, command in commands.items():
        times = sorted(_seconds(command) for _ in range(_RUNS + 1))  # one more than counted: the slowest is warm-up
        figures[name] = round(times[_RUNS // 2], 3)
        print(f"  {name:<20} {figures[name]:.2f} s")
    return figures


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started
