"""`make bench`: ratios, measured in one run, printed and kept in benchmarks/results/.

Machines differ and drift; so each figure that matters is a ratio of two things timed side by side. All of it takes an
hour; `python -m benchmarks peers memory` measures some parts alone.
"""

import json
import platform
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import (
    cache,
    decoding,
    evaluation,
    gpu,
    headers,
    index_memory,
    memory,
    network_round,
    overhead,
    report,
    scale,
    startup,
    training,
    triage,
)
from benchmarks.peers import side_by_side

_PARTS: Final[dict[str, tuple[str, Callable[[], Any]]]] = {
    "startup": ("start-up (aim: each command's --help within 1.0 s)", startup.measure),
    "overhead": ("overhead of the federation (aim: rounds within 1.05 of the bare loop)", overhead.measure),
    "training": (
        "training (aim: at least 2.7 times the slices a second of float32 with contiguous tensors)",
        training.measure,
    ),
    "gpu": (
        "training on a GPU (aim: 85 % of the time in the model's kernels, at half the rate of its convolutions)",
        gpu.measure,
    ),
    "triage": ("triage (aim: 36 files to a score in 0.6 s, exports in 0.35 s)", triage.measure),
    "evaluation": (
        "evaluation (aim: AUC and DeLong 10 times as fast as scikit-learn's AUC; 1,000 sites merged within 10 ms)",
        evaluation.measure,
    ),
    "report": ("report (aim: 50 rounds of 20 sites written within 2 s)", report.measure),
    "headers": ("header scan on one core (aim: at least 2.5 times pydicom's)", headers.measure),
    "decoding": (
        "decoding, by syntax (aim: within 1.25 of the fastest permissively licensed decoder)",
        decoding.measure,
    ),
    "cache": (
        "prepared studies (aim: a random slice within 1.15 of a plain memory map; training never waits)",
        cache.measure,
    ),
    "index": ("peak memory of an index (aim: 10,000 studies in under 1 GiB)", index_memory.measure),
    "peers": (
        "the same federation by others (aim: theirs at least 5 times our seconds where nothing is trained)",
        side_by_side.measure,
    ),
    "network": (
        "a round over the network where nothing is trained (aim: 6 s at 5.0 million parameters and 3 sites on 2 cores)",
        network_round.measure,
    ),
    "memory": (
        "memory of a run (aim: 200 hospitals within 1.3 of 4; no growth from round to round)",
        memory.measure,
    ),
    "scale": ("what the coordinator pays, by the number of sites", scale.measure),
}


def main(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in _PARTS]
    if unknown:
        sys.exit(f"{', '.join(unknown)}: no such part; choose among {', '.join(_PARTS)}.")
    results: dict[str, Any] = {}
    for name in names or _PARTS:
        title, measure = _PARTS[name]
        print(f"\n{title}", flush=True)
        results[name] = measure()
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{datetime.now():%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps({"machine": platform.processor() or platform.machine(), **results}, indent=1) + "\n")
    print(f"\nkept in {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
