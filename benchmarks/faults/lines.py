"""Lines between the hospitals and the coordinator that are cut, or slow and lossy."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from benchmarks.faults.federation import Federation
from benchmarks.faults.kinds import CUT_S, Fault, for_a_while
from benchmarks.faults.run import Run

_DELAY_S: Final = 0.1
_LOSS: Final = 0.01


def _cut(sites: int) -> Callable[[Federation, Run], AbstractContextManager[None]]:
    @contextmanager
    def cut(federation: Federation, run: Run) -> Iterator[None]:
        cables = [site.cable for site in federation.hospitals[:sites]]
        for cable in cables:
            cable.is_cut = True
        for_a_while()
        for cable in cables:
            cable.is_cut = False
        yield

    return cut


@contextmanager
def _slow(federation: Federation, run: Run) -> Iterator[None]:
    for site in federation.hospitals:
        site.cable.delay_s, site.cable.loss = _DELAY_S, _LOSS
    yield
    for site in federation.hospitals:
        site.cable.delay_s = site.cable.loss = 0.0


LINES: Final = (
    Fault("cut-one", f"no packet to or from one site for {CUT_S:.0f} s", _cut(1), lasts=True),
    Fault("cut-all", f"no packet to or from any site for {CUT_S:.0f} s", _cut(4), lasts=True),
    Fault(
        "slow",
        f"{2000 * _DELAY_S:.0f} ms from a packet to its answer and {_LOSS:.0%} of packets lost each way, at all sites, "
        "until the round is over",
        _slow,
    ),
)
