"""`make bench`: ratios, measured in one run, printed and kept in benchmarks/results/.

Machines differ and drift; so each figure that matters is a ratio of two things timed side by side.
"""

import json
import platform
from datetime import datetime
from pathlib import Path

from benchmarks import memory, overhead, startup


def main() -> None:
    print("start-up (aim: each command's --help within 1.0 s)")
    results = {"startup": startup.measure()}
    print("\noverhead of the federation (aim: rounds within 1.10 of the bare loop)")
    results["overhead"] = overhead.measure()
    print("\npeak memory (aim: flat from 4 to 40 hospitals)")
    results["memory"] = memory.measure()
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{datetime.now():%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps({"machine": platform.processor() or platform.machine(), **results}, indent=1) + "\n")
    print(f"\nkept in {path}")


if __name__ == "__main__":
    main()
