"""Bring a site's store and ledger up to date with its files and labels, preparing only what has changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bloodnet_model.commands import OnProgress
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.splits import Split
from client.conflicts import Refusals, UsableStudy, label_conflicts, refused, same_pixels
from client.groups import UNKNOWN_GROUP, Groups
from client.index import FileIndex
from client.label_lines import LabelLines
from client.labels import LabelTable
from client.ledger import Entry, write_ledger
from client.outcomes import Outcome, Outcomes
from client.preparation import Examined, Task, crashed, made_from, prepare, task_of
from client.site_settings import Site
from client.splits import split_studies
from client.store import Store, StoreWriter, key_of
from client.survey import SurveyedStudy, other_files
from client.workers import ordered_map, usable_cores

_WORTH: Final = 48
"""Studies from which on starting processes to prepare them pays."""

_TOGETHER: Final = 16
"""Studies that are committed together: what an interruption costs."""


@dataclass(frozen=True)
class Refresh:
    """One site's index, open and read; its labels; and what its studies are prepared for."""

    site: Site
    index: FileIndex
    table: LabelTable
    preprocessing: PreprocessingSettings
    on_progress: OnProgress

    def run(self, store: Store, stamp: str) -> None:
        """Prepare what is new, write the ledger, settle every split; an interruption costs the last few studies."""
        outcomes, lines = Outcomes(self.index.database, store.folder.name), LabelLines(self.table)
        with StoreWriter(store) as writer:
            groups = self._prepare_new(writer, outcomes, lines)
            usable = [_usable(outcome) for outcome in outcomes if not outcome.reason]
            conflicts = label_conflicts(usable, self.table)
            agreed = ((outcome.study, outcome.pixels) for outcome in outcomes if outcome.study not in conflicts)
            refusals = {**conflicts, **same_pixels(agreed)}
            splits = split_studies(self.site.settings, (study for study in usable if study.uid not in refusals))
            entries = self._entries(outcomes, refusals, splits, lines)
            write_ledger(self.site.ledger, self.site.folder, entries)
            writer.settle({key_of(study.uid): splits.get(study.uid) for study in usable}, stamp, groups)

    def _prepare_new(self, writer: StoreWriter, outcomes: Outcomes, lines: LabelLines) -> dict[str, Groups]:
        """Bring all outcomes up to date; the groups of all studies by key, on which no outcome depends."""
        known, studies, groups = outcomes.made_from(), self.index.studies(), dict[str, Groups]()
        for gone in known.keys() - set(studies):
            outcomes.forget(gone)

        def tasks() -> Iterator[Task]:
            for done, uid in enumerate(studies, start=1):
                files = self.index.files_of(uid)
                lines.found(files)
                task = task_of(self.site, uid, files, self.table, self.preprocessing)
                groups[key_of(uid)] = _groups(task.surveyed)
                if known.get(uid) != made_from(task) or not (task.surveyed.reason or key_of(uid) in writer):
                    yield task
                self.on_progress("preparing studies", done, len(studies))

        cores = usable_cores(self.site.settings.cores)
        for done, (task, examined) in enumerate(ordered_map(_prepared, tasks(), cores, _WORTH), start=1):
            outcome = _outcome(task, examined or crashed(task))
            if examined is not None and examined.study is not None:
                writer.append(key_of(outcome.study), examined.study)
            outcomes.put(outcome)
            if done % _TOGETHER == 0:
                writer.commit()
                self.index.database.commit()
        writer.commit()
        self.index.database.commit()
        return groups

    def _entries(
        self, outcomes: Outcomes, refusals: Refusals, splits: Mapping[str, Split], lines: LabelLines
    ) -> Iterator[Entry]:
        """Every line of the ledger: files that are no CT, studies with their files, rows of the labels file."""
        yield from other_files(self.site, self.index, self.table)
        for outcome in outcomes:
            reason, detail = refusals.get(outcome.study, (outcome.reason, outcome.detail))
            if reason:
                yield from refused(outcome.entries, reason)
                yield Entry("study", outcome.study, reason, detail)
            else:
                lines.used(outcome.lines)
                yield from outcome.entries
                yield Entry("study", outcome.study, "", f"{splits[outcome.study]}, {detail}")
        yield from lines.entries()


def _prepared(task: Task) -> Examined:
    surveyed = task.surveyed
    if surveyed.reason:
        return Examined(None, None, surveyed.reason, surveyed.detail, surveyed.entries)
    return prepare(task)


def _outcome(task: Task, examined: Examined) -> Outcome:
    surveyed = task.surveyed
    return Outcome(
        study=surveyed.uid,
        made_from=made_from(task),
        reason=examined.reason,
        detail=examined.detail,
        patient=surveyed.patient,
        hemorrhage=surveyed.hemorrhage,
        split=surveyed.labels.split if surveyed.labels is not None else None,
        pixels=examined.pixels,
        entries=examined.entries,
        lines=examined.lines,
    )


def _groups(surveyed: SurveyedStudy) -> Groups:
    scanner = surveyed.slices[0].scanner if surveyed.slices else UNKNOWN_GROUP
    return Groups(scanner, (surveyed.labels.group if surveyed.labels is not None else "") or UNKNOWN_GROUP)


def _usable(outcome: Outcome) -> UsableStudy:
    return UsableStudy(outcome.study, outcome.patient, outcome.hemorrhage, outcome.split, tuple(outcome.lines))
