"""A look at a site's data before anything is prepared: what `bloodnet-client check` stands on."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.splits import Split
from client.conflicts import UsableStudy, label_conflicts, refused
from client.index import FileIndex, healing, up_to_date_index
from client.label_lines import LabelLines
from client.labels import LabelTable, read_labels
from client.ledger import Entry
from client.preparation import Task, task_of
from client.site_lock import locked
from client.site_settings import Site
from client.splits import split_studies
from client.survey import SurveyedStudy, one_line_a_file, other_files, survey_study


@dataclass(frozen=True)
class Candidate(UsableStudy):
    """A study with a usable series and labels, as far as headers and labels tell."""

    entries: tuple[Entry, ...]
    """Ledger lines of its series and files if its pixels are as good as its headers."""


@dataclass(frozen=True)
class Inspection:
    """What headers and labels tell of a site.

    candidates: studies whose pixels are worth reading, by UID
    splits:     of the candidates, by UID
    entries:    ledger lines of all but the candidates: files that are no CT, other studies, rows of the labels file
    identified: CT files in which a patient's name or the like is filled in
    burned_in:  CT files that say that such things are in the picture
    """

    site: Site
    table: LabelTable
    candidates: tuple[Candidate, ...]
    splits: Mapping[str, Split]
    entries: tuple[Entry, ...]
    identified: int
    burned_in: int


def inspect(site: Site, on_progress: OnProgress) -> Inspection:
    """Read the headers of what is new, choose series, join labels; raises DataError where the site cannot be used."""
    if site.settings.members:
        raise DataError(f"{site.folder}: is made of members; check each of their folders.")
    table = read_labels(site.labels)
    with locked(site):
        return healing(site, lambda: _inspect(site, table, on_progress))


def tasks_of(
    inspection: Inspection, candidates: Iterable[Candidate], preprocessing: PreprocessingSettings
) -> Iterator[Task]:
    """What it takes to read the pixels of some candidates."""
    site = inspection.site
    index = FileIndex.open(site)
    if index is None:
        raise DataError(f"{site.cache}: its index has gone; check the site again.")
    with index:
        for candidate in candidates:
            yield task_of(site, candidate.uid, index.files_of(candidate.uid), inspection.table, preprocessing)


def _candidate(surveyed: SurveyedStudy) -> Candidate:
    split = surveyed.labels.split if surveyed.labels is not None else None
    files = (Entry("file", str(header.path)) for header in surveyed.slices)
    entries = one_line_a_file((*surveyed.entries, *files))
    return Candidate(surveyed.uid, surveyed.patient, surveyed.hemorrhage, split, surveyed.lines, entries)


def _inspect(site: Site, table: LabelTable, on_progress: OnProgress) -> Inspection:
    with up_to_date_index(site, on_progress) as index:
        return _inspected(site, table, index, on_progress)


def _inspected(site: Site, table: LabelTable, index: FileIndex, on_progress: OnProgress) -> Inspection:
    lines, entries, candidates = LabelLines(table), list(other_files(site, index, table)), []
    identified = burned_in = 0
    studies = index.studies()
    for done, uid in enumerate(studies, start=1):
        files = index.files_of(uid)
        lines.found(files)
        surveyed = survey_study(uid, files, table, site.settings.series)
        identified, burned_in = identified + surveyed.identified, burned_in + surveyed.burned_in
        if surveyed.reason:
            entries += (*surveyed.entries, Entry("study", uid, surveyed.reason, surveyed.detail))
        else:
            candidates.append(_candidate(surveyed))
        on_progress("choosing series", done, len(studies))
    refusals = label_conflicts(candidates, table)
    usable = [candidate for candidate in candidates if candidate.uid not in refusals]
    for candidate in candidates:
        if candidate.uid in refusals:
            reason, detail = refusals[candidate.uid]
            entries += (*refused(candidate.entries, reason), Entry("study", candidate.uid, reason, detail))
        else:
            lines.used(dict.fromkeys(candidate.lines, ("", "")))
    entries += lines.entries()
    splits = split_studies(site.settings, usable)
    return Inspection(site, table, tuple(usable), splits, tuple(entries), identified, burned_in)
