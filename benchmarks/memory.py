"""Peak memory of a run's whole process tree, with few and with many virtual hospitals."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

_HOSPITALS = (4, 40)


def measure() -> dict[str, float]:
    """Peak resident MiB of the command and its workers together, and the ratio of many hospitals to few."""
    with tempfile.TemporaryDirectory() as folder:
        peaks = {count: _peak_mib(Path(folder), count) for count in _HOSPITALS}
    for count, peak in peaks.items():
        print(f"  {count:>2} hospitals  {peak:.0f} MiB")
    few, many = _HOSPITALS
    print(f"  ratio {peaks[many] / peaks[few]:.2f}")
    return {
        **{f"mib_{count}": round(peak) for count, peak in peaks.items()},
        "ratio": round(peaks[many] / peaks[few], 3),
    }


def _peak_mib(folder: Path, hospitals: int) -> float:
    command = [str(Path(sys.executable).parent / "bloodnet-simulate"), "run", "--no-central", "--workers", "2"]
    command += ["--sites", str(hospitals), "--studies", "8", "--rounds", "2", "--local-epochs", "1"]
    process = subprocess.Popen([*command, "--out", str(folder / f"run-{hospitals}")], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _resident(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"the run with {hospitals} hospitals failed")
    return peak / 2**20


def _resident(pid: int) -> int:
    try:
        root = psutil.Process(pid)
        return sum(process.memory_info().rss for process in [root, *root.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0
