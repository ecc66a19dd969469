"""`make bench`: ratios, measured in one run, printed and kept in benchmarks/results/.

Machines differ and drift; so each figure that matters is a ratio of two things timed side by side.
"""

import json
import platform
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import (
    cache,
    decoding,
    evaluation,
    gpu,
    headers,
    index_memory,
    memory,
    overhead,
    report,
    startup,
    training,
    triage,
)


def main() -> None:
    print("start-up (aim: each command's --help within 1.0 s)")
    results: dict[str, Any] = {"startup": startup.measure()}
    print("\noverhead of the federation (aim: rounds within 1.10 of the bare loop)")
    results["overhead"] = overhead.measure()
    print("\ntraining (aim: at least 2.7 times the slices a second of float32 with contiguous tensors)")
    results["training"] = training.measure()
    print("\ntraining on a GPU (aim: 85 % of the time in the model's kernels, at half the rate of its convolutions)")
    results["gpu"] = gpu.measure()
    print("\ntriage (aim: 36 files to a score in 0.6 s, exports in 0.35 s)")
    results["triage"] = triage.measure()
    print("\nevaluation (aim: AUC and DeLong 10 times as fast as scikit-learn's AUC; 1,000 sites merged within 10 ms)")
    results["evaluation"] = evaluation.measure()
    print("\nreport (aim: 50 rounds of 20 sites written within 2 s)")
    results["report"] = report.measure()
    print("\npeak memory (aim: flat from 4 to 40 hospitals)")
    results["memory"] = memory.measure()
    print("\nheader scan on one core (aim: at least 2.5 times pydicom's)")
    results["headers"] = headers.measure()
    print("\ndecoding, by syntax (aim: within 1.25 of the fastest permissively licensed decoder)")
    results["decoding"] = decoding.measure()
    print("\nprepared studies (aim: a random slice within 1.15 of a plain memory map; training never waits)")
    results["cache"] = cache.measure()
    print("\npeak memory of an index (aim: 10,000 studies in under 1 GiB)")
    results["index"] = index_memory.measure()
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{datetime.now():%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps({"machine": platform.processor() or platform.machine(), **results}, indent=1) + "\n")
    print(f"\nkept in {path}")


if __name__ == "__main__":
    main()
