"""One study from its files to what the network sees: read, check that it is a head, crop, window, lay the mask."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import UnusableSlice
from bloodnet_model.preprocessing import head_centre, prepare_mask, prepare_volume
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.study import Study
from client.index import IndexedFile
from client.labels import LabelTable, StudyLabels, settled
from client.ledger import Entry
from client.listing import state_of
from client.masks import UnusableMask, check_mask, disputed_slices, labels_from_mask, read_mask
from client.plausibility import not_a_head
from client.site_settings import Site
from client.slice_distances import usual_distance_mm
from client.survey import SurveyedStudy, one_line_a_file, survey_study
from client.volume import Volume, read_volume

Remarks = Mapping[int, tuple[str, str]]
"""Reason and detail by line of the labels file."""


@dataclass(frozen=True)
class Task:
    """A study to prepare, and the (size, time of change) in which the index knows each of its files."""

    surveyed: SurveyedStudy
    states: Mapping[Path, tuple[int, int]]
    minimum_slices: int
    preprocessing: PreprocessingSettings


@dataclass(frozen=True)
class Examined:
    """What came of a study whose pixels were read.

    study:   as the network sees it; None where it cannot be used, for `reason`
    volume:  its HU; None where too little could be read
    entries: ledger lines of all its series and files
    """

    study: Study | None
    volume: Volume | None
    reason: str
    detail: str
    entries: tuple[Entry, ...]
    lines: Remarks = field(default_factory=dict)

    @property
    def pixels(self) -> str:
        """Digest by which the same head is known under another name."""
        return hashlib.sha256(self.study.windows.data).hexdigest() if self.study is not None else ""


def task_of(
    site: Site, uid: str, files: Sequence[IndexedFile], table: LabelTable, preprocessing: PreprocessingSettings
) -> Task:
    """A study of the index, its series chosen and its labels found."""
    rules = site.settings.series
    states = {file.headers[0].path: (file.size, file.mtime_ns) for file in files}
    return Task(survey_study(uid, files, table, rules), states, rules.minimum_slices, preprocessing)


def examine(task: Task) -> Examined:
    """Read, judge and prepare one study."""
    surveyed = task.surveyed
    volume = _unchanged(read_volume(surveyed.slices), task.states)
    failures = [Entry("file", str(header.path), fault.reason, str(fault)) for header, fault in volume.failures]
    lines = dict.fromkeys(surveyed.lines, ("", ""))
    reason, detail = objection(volume, task.minimum_slices)
    files = [Entry("file", str(header.path), reason) for header in volume.headers]
    entries = one_line_a_file((*surveyed.entries, *failures, *files))
    if reason or surveyed.labels is None:
        return Examined(None, volume, reason, detail, entries, lines)
    study, remarks = prepare_study(volume, surveyed, task.preprocessing)
    return Examined(study, volume, "", f"{study.slices} slices", entries, {**lines, **remarks})


def prepare(task: Task) -> Examined:
    """`examine` without the volume, which is large and would travel between processes."""
    return replace(examine(task), volume=None)


def crashed(task: Task) -> Examined:
    """In place of what came of a study of which the process died."""
    return Examined(None, None, "undecodable", "a decoder crashed on this study", task.surveyed.entries)


def _unchanged(volume: Volume, states: Mapping[Path, tuple[int, int]]) -> Volume:
    """The volume without slices whose file is not as the index knows it: header and pixels may not belong together."""
    paths = {header.path for header in volume.headers}
    changed = {path for path in paths if state_of(path) != states[path]}
    if not changed:
        return volume
    kept = [header.path not in changed for header in volume.headers]
    faults = tuple(
        (header, UnusableSlice("changed", f"{header.path.name}: changed while it was read."))
        for header in volume.headers
        if header.path in changed
    )
    headers = tuple(header for header in volume.headers if header.path not in changed)
    return replace(volume, hu=volume.hu[kept], headers=headers, failures=volume.failures + faults)


def objection(volume: Volume, minimum_slices: int) -> tuple[str, str]:
    """Reason and detail why a volume is not used; both empty for a head."""
    if len(volume.headers) < minimum_slices:
        return "too-few-readable", f"{len(volume.headers)} of at least {minimum_slices}"
    why = not_a_head(volume.hu, volume.spacing_mm)
    return ("not-a-head", why) if why else ("", "")


def prepare_study(
    volume: Volume, surveyed: SurveyedStudy, preprocessing: PreprocessingSettings
) -> tuple[Study, Remarks]:
    """Windows, labels and mask of a volume; remarks on the row that names the mask."""
    labels = surveyed.labels
    assert labels is not None
    unread = {id(header) for header, _ in volume.failures}
    given = labels.slices[[id(header) not in unread for header in surveyed.slices]]  # (slices, 6)
    centre, slice_mm = head_centre(volume.hu), usual_distance_mm(volume.headers)
    windows = prepare_volume(volume.hu, volume.spacing_mm, preprocessing, centre)
    bits, remarks = _mask_bits(volume, labels)
    if bits is None:
        study, slices = settled(labels.study, given)
        empty = np.zeros((len(windows), preprocessing.rows // 2, preprocessing.columns // 2), np.uint8)
        return Study(windows, study, slices, empty, slices[:, 0] == 0, slice_mm), remarks
    prepared = prepare_mask(bits, volume.spacing_mm, centre, preprocessing)
    drawn = labels_from_mask(bits, prepared, labels.study)
    study, slices = settled(labels.study, np.where(given >= 0, given, drawn).astype(np.int8))
    disputed, why = disputed_slices(bits, given)
    if why and labels.mask is not None:
        remarks = {labels.mask[1]: ("mask-slice-conflict", why)}
    return Study(windows, study, slices, prepared, ~disputed, slice_mm), remarks


def _mask_bits(volume: Volume, labels: StudyLabels) -> tuple[NDArray[np.uint8] | None, Remarks]:
    """Mask bits in the volume's display; None, with a remark on its row, where there is no usable mask."""
    if labels.mask is None:
        return None, {}
    path, line = labels.mask
    try:
        bits = read_mask(path, volume.headers, labels.study)
        check_mask(bits, labels.study)
    except UnusableMask as fault:
        return None, {line: (fault.reason, str(fault))}
    return volume.display.apply(bits), {}


def made_from(task: Task) -> str:
    """Digest of all that the outcome of a study depends on; reads no file."""
    surveyed, labels = task.surveyed, task.surveyed.labels
    digest = hashlib.sha256(f"{task.minimum_slices} {surveyed.reason} {surveyed.detail} {surveyed.entries}".encode())
    for header in surveyed.slices:
        digest.update(f"{header.path} {header.frame} {task.states[header.path]}\n".encode())
    if labels is not None:
        mask = (*labels.mask, state_of(labels.mask[0])) if labels.mask else ()
        digest.update(
            f"{labels.lines} {labels.split} {mask}".encode() + labels.study.tobytes() + labels.slices.tobytes()
        )
    return digest.hexdigest()
