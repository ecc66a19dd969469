"""A fault in a run, beside a run without one."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.faults.federation import SITES, Federation
from benchmarks.faults.kinds import Fault
from benchmarks.faults.run import Run
from benchmarks.faults.waiting import wait_until

_BEFORE: Final = 1
"""Rounds that are over when a fault is made."""


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    title:       what was done
    mended:      by whom, beside the coordinator
    lasted_s:    seconds for which the fault was held up; 0 for a moment
    recovery_s:  seconds from its beginning until the next round was over
    usual_s:     seconds of that round in the undisturbed run, on the same machine a while before
    rounds_lost: of those that were over before
    resumed:     how often `bloodnet-server resume` was typed
    restarted:   how often a service manager started a program again, by its name
    said:        last words of the commands that stopped watching, before the run was over
    same_sites:  whether the same sites' updates counted in each round as in the undisturbed run
    same_model:  whether the model's bytes are those of the undisturbed run
    """

    title: str
    mended: str
    lasted_s: float
    recovery_s: float
    usual_s: float
    rounds_lost: int
    resumed: int
    restarted: dict[str, int]
    said: list[str]
    same_sites: bool
    same_model: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Undisturbed:
    """The run that the others are held against; round_s are the seconds of its second round, as in the others."""

    round_s: float
    run: Run


def undisturbed(federation: Federation) -> Undisturbed:
    run = _launched(federation, "undisturbed")
    began = time.monotonic()
    run.wait_for_round(_BEFORE + 1)
    seconds = time.monotonic() - began
    run.wait_for_end()
    return Undisturbed(round(seconds), run)


def measured(fault: Fault, federation: Federation, usual: Undisturbed) -> Outcome:
    """Raises RuntimeError where the run does not get over it."""
    wait_until(lambda: federation.online() == SITES, "every hospital is connected")
    restarts = _restarts(federation)
    run = _launched(federation, fault.name)
    try:
        wait_until(lambda: run.is_training(_BEFORE + 1), "the round has begun")
        before, began = run.rounds, time.monotonic()
        with fault.made(federation, run):
            lasted_s = time.monotonic() - began
            run.wait_for_round(len(before) + 1)
            recovery_s = time.monotonic() - began
            run.wait_for_end()
    finally:
        run.leave()
    after = _restarts(federation)
    return Outcome(
        title=fault.title,
        mended=fault.mended,
        lasted_s=round(lasted_s) if fault.lasts else 0,
        recovery_s=round(recovery_s),
        usual_s=usual.round_s,
        rounds_lost=sum(line not in run.rounds for line in before),
        resumed=run.resumed,
        restarted={name: after[name] - count for name, count in restarts.items() if after[name] > count},
        said=[_without_folder(said, run.folder) for said in run.said],
        same_sites=[_counted(line) for line in run.rounds] == [_counted(line) for line in usual.run.rounds],
        same_model=run.model == usual.run.model,
    )


def _launched(federation: Federation, name: str) -> Run:
    run = Run(federation, federation.home.runs / name)
    run.launch()
    run.wait_for_round(_BEFORE)
    return run


def _restarts(federation: Federation) -> dict[str, int]:
    return {"up": federation.up.restarts, **{site.name: site.node.restarts for site in federation.hospitals}}


def _counted(line: dict[str, Any]) -> set[str]:
    return {name for name, site in line["sites"].items() if site["status"] == "ok"}


def _without_folder(said: str, run: Path) -> str:
    return said.replace(str(run), "RUN").replace(str(run.parent.parent), "DIR")
