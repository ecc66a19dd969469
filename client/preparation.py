"""From a site's files to prepared studies: index, choose a series, split, read, prepare; every step in the ledger."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError
from bloodnet_model.preprocessing import head_centre, prepare_mask, prepare_volume
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.study import Study
from client.cache import PreparedWriter
from client.dicom import SliceHeader
from client.index import index_studies
from client.labels import LabelTable, StudyLabels, labels_of, settled
from client.ledger import Ledger
from client.masks import UnusableMask, check_mask, labels_from_mask, read_mask
from client.series_selection import select_series
from client.site_settings import Site
from client.splits import Split, split_patients
from client.volume import Volume, read_volume

OnStudy = Callable[[int, int], None]
"""Told after each study how many are done, and of how many."""


@dataclass(frozen=True)
class _Candidate:
    """A study with a usable series and labels."""

    uid: str
    patient: str
    slices: tuple[SliceHeader, ...]
    labels: StudyLabels


@dataclass
class _Lines:
    """What became of the rows of the labels file: those used, and remarks on their masks."""

    used: set[int] = field(default_factory=set)
    remarks: dict[int, tuple[str, str]] = field(default_factory=dict)


def build(
    site: Site,
    files: Iterable[Path],
    table: LabelTable,
    preprocessing: PreprocessingSettings,
    writer: PreparedWriter,
    on_study: OnStudy | None = None,
) -> Ledger:
    """Prepare every usable study of the site into `writer`; returns the ledger of all that was found.

    Raises DataError where no file is a CT, or where labels contradict each other.
    """
    ledger, lines = Ledger(site.folder), _Lines()
    studies = index_studies(files, ledger)
    if not studies:
        raise DataError(f"{site.folder}: none of its files is a CT slice; correct `dicom` in its site.yaml.")
    candidates = _candidates(studies, table, site.settings.minimum_slices, ledger)
    splits = _splits(site, table, candidates)
    for done, candidate in enumerate(candidates, start=1):
        study = _prepared(candidate, site.settings.minimum_slices, preprocessing, ledger, lines)
        if study is not None:
            split = splits[candidate.patient]
            writer.append(split, study)
            ledger.add("study", candidate.uid, detail=f"{split}, {study.slices} slices")
        if on_study is not None:
            on_study(done, len(candidates))
    _enter_labels(table, studies, lines, ledger)
    return ledger


def _candidates(
    studies: Mapping[str, list[SliceHeader]], table: LabelTable, minimum_slices: int, ledger: Ledger
) -> list[_Candidate]:
    """The studies that have both a usable series and labels; the others go into the ledger."""
    candidates = []
    for uid, headers in studies.items():
        selection = select_series(headers, minimum_slices)
        ledger.extend(selection.entries)
        labels = labels_of(table, selection.slices) if selection.slices else None
        if labels is None:
            _skip(uid, selection.slices, selection.reason or "no-label", ledger)
        else:
            candidates.append(_Candidate(uid, selection.slices[0].patient, selection.slices, labels))
    return candidates


def _splits(site: Site, table: LabelTable, candidates: Iterable[_Candidate]) -> dict[str, Split]:
    """Split of every patient: the one the labels file gives to any of their studies, else the site's own."""
    given: dict[str, Split] = {}
    positive: dict[str, bool] = {}
    for candidate in candidates:
        patient, split = candidate.patient, candidate.labels.split
        if split is not None and given.setdefault(patient, split) != split:
            line = candidate.labels.lines[0]
            raise DataError(f"{table.path}, line {line}: puts a patient into two splits; give their studies one split.")
        hemorrhage = settled(candidate.labels.study, candidate.labels.slices)[0][0] == 1
        positive[patient] = positive.get(patient, False) or bool(hemorrhage)
    free = {patient: positive[patient] for patient in positive if patient not in given}
    settings = site.settings
    return split_patients(free, settings.validation_share, settings.test_share, settings.split_seed) | given


def _prepared(
    candidate: _Candidate,
    minimum_slices: int,
    preprocessing: PreprocessingSettings,
    ledger: Ledger,
    lines: _Lines,
) -> Study | None:
    """The study as the network sees it; None where too few of its slices could be read."""
    volume = read_volume(candidate.slices)
    for header, failure in volume.failures:
        ledger.add("file", header.path, failure.reason, str(failure))
    if len(volume.headers) < minimum_slices:
        _skip(candidate.uid, volume.headers, "too-few-readable", ledger)
        return None
    for header in volume.headers:
        ledger.add("file", header.path)
    lines.used.update(candidate.labels.lines)
    unread = {header.path for header, _ in volume.failures}
    kept = [header.path not in unread for header in candidate.slices]
    return _study(volume, candidate.labels, candidate.labels.slices[kept], preprocessing, lines)


def _study(
    volume: Volume,
    labels: StudyLabels,
    given: NDArray[np.int8],
    preprocessing: PreprocessingSettings,
    lines: _Lines,
) -> Study:
    """Windows, labels and mask of one volume; `given` are the labels (slices, 6) of its slices."""
    centre = head_centre(volume.hu)
    windows = prepare_volume(volume.hu, volume.spacing_mm, preprocessing, centre)
    bits = _mask_bits(volume, labels, lines)
    if bits is None:
        study, slices = settled(labels.study, given)
        empty = np.zeros((len(windows), preprocessing.rows // 2, preprocessing.columns // 2), np.uint8)
        return Study(windows, study, slices, empty, slices[:, 0] == 0)
    prepared = prepare_mask(bits, volume.spacing_mm, centre, preprocessing)
    drawn = labels_from_mask(bits, prepared, labels.study)
    study, slices = settled(labels.study, np.where(given >= 0, given, drawn).astype(np.int8))
    disputed = (given[:, 0] >= 0) & (given[:, 0] != bits.any(axis=(1, 2)))  # reader and mask differ on this slice
    return Study(windows, study, slices, prepared, ~disputed)


def _mask_bits(volume: Volume, labels: StudyLabels, lines: _Lines) -> NDArray[np.uint8] | None:
    """Mask bits in the volume's display; None, with a remark on its row, where there is no usable mask."""
    if labels.mask is None:
        return None
    path, line = labels.mask
    try:
        bits = read_mask(path, volume.headers, labels.study)
        check_mask(bits, labels.study)
    except UnusableMask as fault:
        lines.remarks[line] = (fault.reason, str(fault))
        return None
    return volume.display.apply(bits)


def _skip(uid: str, slices: Iterable[SliceHeader], reason: str, ledger: Ledger) -> None:
    ledger.add("study", uid, reason)
    for header in slices:
        ledger.add("file", header.path, reason)


def _enter_labels(table: LabelTable, studies: Mapping[str, list[SliceHeader]], lines: _Lines, ledger: Ledger) -> None:
    """A line for every row of the labels file."""
    known = {
        key
        for header in (header for headers in studies.values() for header in headers)
        for key in (
            ("study_instance_uid", header.study_uid),
            ("accession_number", header.accession_number),
            ("sop_instance_uid", header.sop_uid),
        )
    }
    for row in table.rows.values():
        unused = "not-used" if row.key in known else "without-study"
        reason, detail = lines.remarks.get(row.line, ("" if row.line in lines.used else unused, ""))
        ledger.add("label", f"line {row.line}", reason, detail)
    for line in table.repeats:
        ledger.add("label", f"line {line}", "repeated")
