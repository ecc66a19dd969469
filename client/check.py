"""The preflight: read headers, labels and the pixels of all studies or some, and judge whether the site is ready."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bloodnet_model.commands import OnProgress
from bloodnet_model.settings import PreprocessingSettings
from client.inspection import Candidate, Inspection, inspect, tasks_of
from client.looked import Looked, Picture, look, looked_at
from client.machine import this_machine
from client.preflight import Preflight, judge
from client.preparation import crashed
from client.site_settings import Site
from client.workers import ordered_map, usable_cores

_WORTH: Final = 16
"""Studies from which on starting processes to read their pixels pays."""
_OF_A_KIND: Final = 3
"""Pictures of studies with hemorrhage, without, and of those that cannot be used."""


@dataclass(frozen=True)
class Sample:
    """A study that is shown: `said` is how it is labelled, `reason` why it cannot be used, if it cannot."""

    uid: str
    said: str
    reason: str
    detail: str
    picture: Picture


def check(
    site: Site, preprocessing: PreprocessingSettings, studies: int | None, on_progress: OnProgress
) -> tuple[Preflight, tuple[Sample, ...]]:
    """What is found, and some studies to look at; reads the pixels of `studies` studies, of all where it is None.

    Raises DataError where the site as a whole cannot be read.
    """
    inspection = inspect(site, on_progress)
    chosen = sampled(inspection.candidates, studies)
    looked: list[tuple[Candidate, Looked]] = []
    samples: list[Sample] = []
    for candidate, outcome in _looks(inspection, chosen, preprocessing):
        samples += _shown(candidate, outcome, samples)
        looked.append((candidate, replace(outcome, picture=None)))
        on_progress("reading pixels", len(looked), len(chosen))
    machine = this_machine(site.cache, site.settings)
    return judge(inspection, looked, machine, preprocessing), tuple(samples)


def sampled(candidates: Sequence[Candidate], studies: int | None) -> Sequence[Candidate]:
    """All, or so many in the order of a hash of their UIDs: the same each time, from all over the export."""
    if studies is None or studies >= len(candidates):
        return candidates
    return sorted(candidates, key=lambda candidate: hashlib.sha256(candidate.uid.encode()).digest())[:studies]


def _looks(
    inspection: Inspection, candidates: Sequence[Candidate], preprocessing: PreprocessingSettings
) -> Iterator[tuple[Candidate, Looked]]:
    tasks = tasks_of(inspection, candidates, preprocessing)
    cores = usable_cores(inspection.site.settings.cores)
    for candidate, (task, outcome) in zip(candidates, ordered_map(look, tasks, cores, _WORTH), strict=True):
        yield candidate, outcome if outcome is not None else looked_at(crashed(task), preprocessing)


def _shown(candidate: Candidate, outcome: Looked, samples: Sequence[Sample]) -> Iterator[Sample]:
    """The study as a sample, if there are not yet enough of its kind."""
    said = "cannot be used" if outcome.reason else {1: "hemorrhage", 0: "no hemorrhage"}.get(candidate.hemorrhage, "")
    said = said or "hemorrhage unknown"
    if outcome.picture is not None and sum(sample.said == said for sample in samples) < _OF_A_KIND:
        yield Sample(candidate.uid, said, outcome.reason, outcome.detail, outcome.picture)
