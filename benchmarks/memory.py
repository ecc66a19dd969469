"""Memory of a run: of all its processes with few and with many hospitals, and of the coordinator from round to round.

The command is `bloodnet-simulate run`, all of it; the hospitals are tiny, so that what grows is the federation's.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray
from scipy.stats import linregress

from benchmarks.process_tree import measured
from benchmarks.tiny_hospitals import configuration, drawn

_FEW, _MANY = 4, 200
_AIM: Final = 1.3
_ROUNDS, _SETTLING = 200, 50
_SITES_OF_LONG_RUN: Final = 3
_SAMPLE_S: Final = 0.1
_SIMULATE: Final = Path(sys.executable).with_name("bloodnet-simulate")


def measure(many: int = _MANY, rounds: int = _ROUNDS) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        few, more = (_peak(Path(folder), hospitals) for hospitals in (_FEW, many))
        ratio = sum(more) / sum(few)
        print(f"  {many} hospitals over {_FEW}: {ratio:.2f} (aim: at most {_AIM})")
        slope, error = _slope(Path(folder), rounds)
    print(f"  coordinator over {rounds} rounds: {slope:+.4f} MiB a round, standard error {error:.4f} (aim: zero)")
    peaks = {str(_FEW): [round(part) for part in few], str(many): [round(part) for part in more]}
    return {
        "peak_mib": peaks,
        "ratio": round(ratio, 3),
        "mib_a_round": round(slope, 5),
        "standard_error": round(error, 5),
    }


def _peak(folder: Path, hospitals: int) -> tuple[float, ...]:
    """MiB by process at the moment of the peak, the coordinator first; 5 million parameters, two rounds."""
    data = drawn(folder / f"hospitals-{hospitals}", hospitals)
    settings = configuration(folder / f"{hospitals}.yaml", data, rounds=2)
    out = folder / f"run-{hospitals}"
    cost = measured(_command(settings, out), folder / f"{hospitals}.log")
    parts = " + ".join(f"{part:.0f}" for part in cost.shares_mib)
    print(f"  {hospitals:>3} hospitals {cost.peak_mib:6.0f} MiB = {parts} (coordinator first), {cost.seconds:.0f} s")
    return cost.shares_mib


def _command(settings: Path, out: Path) -> list[str | Path]:
    return [_SIMULATE, "run", "--config", settings, "--workers", "2", "--out", out]


def _slope(folder: Path, rounds: int) -> tuple[float, float]:
    """MiB that the coordinator grows by a round once it has settled, and the standard error of that."""
    data = drawn(folder / "hospitals-of-long-run", _SITES_OF_LONG_RUN)
    settings = configuration(folder / "long.yaml", data, rounds, {"preset": "tiny"})
    memory = _by_round(
        _command(settings, folder / "long-run"), folder / "long-run" / "rounds.jsonl", folder / "long.log"
    )
    fit = linregress(*memory[:, memory[0] >= min(_SETTLING, rounds // 4)])
    return float(fit.slope), float(fit.stderr)


def _by_round(command: list[str | Path], lines: Path, log: Path) -> NDArray[np.float64]:
    """(2, rounds): rounds that are over, and the median MiB of the coordinator until the next one is."""
    samples: dict[int, list[float]] = {}
    with log.open("w") as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output)
        coordinator = psutil.Process(process.pid)
        while process.poll() is None:
            over = lines.read_bytes().count(b"\n") if lines.exists() else 0
            try:
                samples.setdefault(over, []).append(coordinator.memory_full_info().uss / 2**20)
            except psutil.Error:
                break
            time.sleep(_SAMPLE_S)
    if process.wait():
        raise RuntimeError(f"the long run failed:\n{log.read_text()[-2000:]}")
    del samples[max(samples)]  # after the last round comes the test, which is no round
    return np.array([[number, np.median(of)] for number, of in sorted(samples.items())]).T
