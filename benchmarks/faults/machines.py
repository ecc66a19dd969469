"""Machines whose disk is full, or whose clock is wrong."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.faults.federation import Federation, command
from benchmarks.faults.kinds import CUT_S, Fault, for_a_while
from benchmarks.faults.run import Run

_BLOCK: Final = bytes(4096)
_MINUTES: Final = 10
_CLOCK: Final = Path(__file__).parent / "clock.c"


@contextmanager
def _site_disk(federation: Federation, run: Run) -> Iterator[None]:
    _full_for_a_while(federation.hospitals[0].folder)
    yield


@contextmanager
def _coordinator_disk(federation: Federation, run: Run) -> Iterator[None]:
    _full_for_a_while(federation.home.folder)
    yield


def _full_for_a_while(folder: Path) -> None:
    """Nothing more can be written below `folder`, which is a disk of its own."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while file.write(_BLOCK) == len(_BLOCK):
                pass
    except OSError:
        for_a_while()
    finally:
        filler.unlink()


@contextmanager
def _clock(federation: Federation, run: Run) -> Iterator[None]:
    """The SuperNode is started anew for it, before and after, since a library is loaded before it."""
    site, library = federation.hospitals[0], federation.settings.parent / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(_CLOCK)], check=True)
    node = command("bloodnet-client", "run", site.folder)
    site.node.stop()
    site.node.start(site.cable.command("env", f"LD_PRELOAD={library}", f"FAST_S={60 * _MINUTES}", *node))
    for_a_while()
    site.node.stop()
    site.node.start(site.cable.command(*node))
    yield


def why_no_clock() -> str:
    """Why a clock cannot be wrong here; empty where it can."""
    return "" if shutil.which("cc") else "a clock that is wrong needs a C compiler: apt-get install gcc libc6-dev"


MACHINES: Final = (
    Fault("disk-site", f"a full disk at one site for {CUT_S:.0f} s", _site_disk, True, "the site frees its disk"),
    Fault(
        "disk-coordinator",
        f"a full disk at the coordinator for {CUT_S:.0f} s",
        _coordinator_disk,
        True,
        "the coordinator frees its disk",
    ),
    Fault(
        "clock",
        f"the clock of one site {_MINUTES} minutes fast for {CUT_S:.0f} s, its SuperNode started with it",
        _clock,
        True,
        "the site sets its clock",
    ),
)
