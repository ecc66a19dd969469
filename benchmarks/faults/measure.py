"""A fault in a run, beside a run without one."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.faults.federation import SITES, Federation
from benchmarks.faults.kinds import Fault
from benchmarks.faults.run import Run, weights_of

UP: Final = "up"


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    title:       what was done
    mended:      by whom, beside the coordinator
    lasted_s:    seconds for which the fault was held up; 0 for a moment
    recovery_s:  seconds from its beginning until the next round was over
    usual_s:     seconds of a round that nothing befell, in the same run
    rounds_lost: of those that were over before
    resumed:     how often `bloodnet-server resume` was typed
    restarted:   how often a service manager started a program again, by its name
    said:        last words of the commands that watched the run when it stopped
    same_sites:  whether every site's update counts in the round of the fault
    same_model:  whether the model's bytes after it are those of a run without faults
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
class Usual:
    """What the rounds would be without a fault: by their numbers the digests of their weights; whose updates count.

    round_s: seconds of a round that nothing befell
    """

    round_s: float
    weights: dict[int, str]
    sites: set[str]


def usual(run: Run) -> Usual:
    """Of a run that has just begun, when its second round is over."""
    run.wait_for_round(1)
    began = time.monotonic()
    run.wait_for_round(2)
    seconds = time.monotonic() - began
    return Usual(round(seconds), weights_of(run.federation.reference), {site.name for site in run.federation.hospitals})


def measured(fault: Fault, run: Run, without: Usual) -> Outcome:
    """Make a fault when all is well and the sites have just been asked to train.

    Raises RuntimeError where the run never gets over it.
    """
    federation = run.federation
    run.wait_until(lambda: federation.online() == SITES, "every hospital is connected")
    run.wait_until(lambda: run.is_asking, "a round begins")
    restarts, stops, before = _restarts(federation), len(run.said), run.rounds
    began = time.monotonic()
    with fault.made(federation, run):
        lasted_s = time.monotonic() - began
        run.wait_for_round(len(before) + 1)
        recovery_s = time.monotonic() - began
    line, said, after = run.rounds[len(before)], run.said[stops:], _restarts(federation)
    return Outcome(
        title=fault.title,
        mended=fault.mended,
        lasted_s=round(lasted_s) if fault.lasts else 0,
        recovery_s=round(recovery_s),
        usual_s=without.round_s,
        rounds_lost=sum(line not in run.rounds for line in before),
        resumed=len(said),
        restarted={name: after[name] - count for name, count in restarts.items() if after[name] > count},
        said=[_without_folder(words, run.folder) for words in said],
        same_sites={name for name, site in line["sites"].items() if site["status"] == "ok"} == without.sites,
        same_model=weights_of(run.folder)[line["round"]] == without.weights[line["round"]],
    )


def _restarts(federation: Federation) -> dict[str, int]:
    return {UP: federation.up.restarts, **{site.name: site.node.restarts for site in federation.hospitals}}


def _without_folder(said: str, run: Path) -> str:
    return said.replace(str(run), "RUN").replace(str(run.parent.parent), "DIR")
