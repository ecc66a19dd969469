"""What headers and labels tell of a study before a pixel is read: its series and labels, or why it has none."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from client.dicom import SliceHeader
from client.index import FileIndex, IndexedFile
from client.labels import LabelTable, StudyLabels, UnusableLabels, labels_of, settled
from client.ledger import Entry
from client.series_selection import select_series
from client.site_settings import SeriesRules, Site


@dataclass(frozen=True)
class SurveyedStudy:
    """One study as its headers and labels show it.

    slices:     of the chosen series, from inferior to superior; empty where none is usable
    labels:     None where there are none that can be used
    reason:     why the study cannot be used, with detail; empty for a candidate
    lines:      of the labels file that speak of it
    entries:    ledger lines of its series, and of the files outside the chosen one
    identified: files in which a patient's name or the like is filled in
    burned_in:  files that say that such things are in the picture
    """

    uid: str
    patient: str
    slices: tuple[SliceHeader, ...]
    labels: StudyLabels | None
    reason: str
    detail: str
    lines: tuple[int, ...]
    entries: tuple[Entry, ...]
    identified: int
    burned_in: int

    @property
    def hemorrhage(self) -> int:
        """1, 0 or -1 (unknown)."""
        return int(settled(self.labels.study, self.labels.slices)[0][0]) if self.labels is not None else -1


def survey_study(uid: str, files: Sequence[IndexedFile], table: LabelTable, rules: SeriesRules) -> SurveyedStudy:
    headers = [header for file in files for header in file.headers]
    selection = select_series(headers, rules)
    labels, fault, detail, lines = _labels(table, selection.slices or headers)
    reason = selection.reason if labels is not None and selection.reason else fault
    entries = selection.entries
    if reason:
        entries += tuple(Entry("file", str(header.path), reason) for header in selection.slices)
    return SurveyedStudy(
        uid=uid,
        patient=headers[0].patient,
        slices=selection.slices,
        labels=labels,
        reason=reason,
        detail=detail,
        lines=lines,
        entries=entries,
        identified=sum(file.headers[0].identified for file in files),
        burned_in=sum(file.headers[0].burned_in for file in files),
    )


def other_files(site: Site, index: FileIndex, table: LabelTable) -> Iterator[Entry]:
    """Ledger lines of files that are no slice; a mask among them is used."""
    masks = {str(mask) for mask in table.masks}
    for entry in index.rejected():
        yield Entry("file", entry.item, "", "mask") if str(site.folder / entry.item) in masks else entry


def one_line_a_file(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Of several lines on the frames of one file, the one that says that it is used, else the first."""
    kept: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        first = kept.setdefault((entry.kind, entry.item), entry)
        if first.status != "used" and entry.status == "used":
            kept[entry.kind, entry.item] = entry
    return tuple(kept.values())


def _labels(table: LabelTable, slices: Sequence[SliceHeader]) -> tuple[StudyLabels | None, str, str, tuple[int, ...]]:
    """Labels, or the reason and detail why none; and the lines that speak of the study."""
    try:
        labels = labels_of(table, slices)
    except UnusableLabels as fault:
        return None, fault.reason, str(fault), fault.lines
    return (labels, "", "", labels.lines) if labels is not None else (None, "no-label", "", ())
