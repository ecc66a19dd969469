"""Writing the report of a long run of many hospitals, with everything in it that a report can show."""

import json
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from server.report import render_report
from tests.server.rich_run import rich_metrics

_ROUNDS, _SITES, _TIMES = 50, 20, 5


def measure() -> dict[str, float]:
    """Seconds of processor and of the clock to write one report, once all is imported, and its size."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        (run / "metrics.json").write_text(json.dumps(rich_metrics(_SITES, _ROUNDS, _ROUNDS)))
        (run / "config.yaml").write_text("strategy: fedavg\n")
        render_report(run)  # fonts are looked up once
        taken = [_seconds(run) for _ in range(_TIMES)]
        kilobytes = (run / "report.html").stat().st_size / 1000
    cpu, clock = (median(values) for values in zip(*taken, strict=True))
    print(
        f"  {_ROUNDS} rounds, {_SITES} sites: {cpu:.2f} s of processor, {clock:.2f} s by the clock, {kilobytes:.0f} kB"
    )
    return {"cpu_s": round(cpu, 2), "clock_s": round(clock, 2), "kilobytes": round(kilobytes)}


def _seconds(run: Path) -> tuple[float, float]:
    cpu, clock = process_time(), perf_counter()
    render_report(run)
    return process_time() - cpu, perf_counter() - clock
