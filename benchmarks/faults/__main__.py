"""`make bench-faults`: every fault, or those named; what came goes into docs/faults.json and docs/faults.md."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.faults.cables import why_not
from benchmarks.faults.federation import federation
from benchmarks.faults.killed import KILLED
from benchmarks.faults.lines import LINES
from benchmarks.faults.machines import MACHINES, why_no_clock
from benchmarks.faults.measure import measured, usual
from benchmarks.faults.page import with_table
from benchmarks.faults.remains import end_when_told
from benchmarks.faults.run import Run

FAULTS: Final = {fault.name: fault for fault in (*KILLED, *LINES, *MACHINES)}
_DOCS: Final = Path(__file__).parent.parent.parent / "docs"
_JSON, _PAGE = _DOCS / "faults.json", _DOCS / "faults.md"


def main(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        sys.exit(f"{', '.join(unknown)}: no such fault; choose among {', '.join(FAULTS)}.")
    if why := why_not() or (why_no_clock() if "clock" in (names or FAULTS) else ""):
        sys.exit(f"{why}.")
    end_when_told()
    with (
        TemporaryDirectory(prefix="bloodnet-faults-", ignore_cleanup_errors=True) as folder,
        federation(Path(folder).resolve()) as made,
    ):
        run = Run(made, made.home.runs / "faults")
        run.launch()
        try:
            without = usual(run)
            for name in names or FAULTS:
                print(f"\n{FAULTS[name].title}", flush=True)
                outcome = measured(FAULTS[name], run, without).to_json()
                print(json.dumps(outcome, indent=1, ensure_ascii=False), flush=True)
                _keep(name, outcome)
        finally:
            run.leave()


def _keep(name: str, outcome: dict[str, Any]) -> None:
    """Put one outcome in the place of an earlier one, and write the table anew."""
    before = json.loads(_JSON.read_text())["faults"] if _JSON.exists() else {}
    faults = {**before, name: outcome}
    told = {
        "machine": f"{os.cpu_count()} cores",
        "faults": {name: faults[name] for name in FAULTS if name in faults},
    }
    _JSON.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    _PAGE.write_text(with_table(_PAGE.read_text(), told))


if __name__ == "__main__":
    main(sys.argv[1:])
