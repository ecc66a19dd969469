"""What there is to deal out: the usable studies of some site folders, with their files, labels and scanner."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import UnusableSlice
from bloodnet_model.labels import CLASSES
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.splits import Split
from client.archives import reading
from client.dicom import decode_hu
from client.inspection import Inspection, inspect, tasks_of
from client.labels import LabelRow, settled
from client.preparation import Task
from client.site_settings import Site
from client.slice_header import SliceHeader
from simulation.deals import DealtPatient

KINDS: Final = ("study", "slice", "mask")
"""What labels speak of, from coarse to fine."""


@dataclass(frozen=True)
class CataloguedStudy:
    """A study that headers and labels show to be usable.

    source:  name of the site it comes from
    scanner: manufacturer and model; where a file names none, how it stores its pixels
    files:   of its chosen series
    rows:    of the labels table that speak of it
    labels:  (6,) of the study: 1, 0 or -1 (unknown)
    kinds:   which of `KINDS` its labels are of
    split:   that labels.csv gives, if any
    dealt:   the split that it has at its source
    pixels:  digest of its middle slice in HU, by which the same scan is known under another name
    """

    uid: str
    patient: str
    source: str
    scanner: str
    files: tuple[Path, ...]
    rows: tuple[LabelRow, ...]
    labels: tuple[int, ...]
    kinds: tuple[str, ...]
    split: Split | None
    dealt: Split
    pixels: str

    @property
    def hemorrhage(self) -> int:
        return self.labels[0]


def catalogue(
    site: Site, preprocessing: PreprocessingSettings, on_progress: OnProgress = lambda stage, done, total: None
) -> list[CataloguedStudy]:
    """The usable studies of a site, by UID; raises DataError where the site cannot be read."""
    inspection = inspect(site, on_progress)
    rows = {row.line: row for row in inspection.table.rows.values()}
    tasks = tasks_of(inspection, inspection.candidates, preprocessing)
    studies = []
    for done, task in enumerate(tasks, start=1):
        studies.append(_study(site, inspection, task, rows))
        on_progress("comparing studies", done, len(inspection.candidates))
    return studies


def patients_of(studies: Iterable[CataloguedStudy]) -> list[DealtPatient]:
    """Who there is to be dealt; studies of one PatientID belong together, wherever they come from."""
    by_patient: defaultdict[str, list[CataloguedStudy]] = defaultdict(list)
    for study in studies:
        by_patient[study.patient].append(study)
    return [
        DealtPatient(
            name=name,
            studies=len(theirs),
            classes=frozenset(CLASSES[j] for study in theirs for j, label in enumerate(study.labels) if label == 1),
            scanner=theirs[0].scanner,
        )
        for name, theirs in sorted(by_patient.items())
    ]


def _study(site: Site, inspection: Inspection, task: Task, rows: dict[int, LabelRow]) -> CataloguedStudy:
    surveyed = task.surveyed
    labels = surveyed.labels
    assert labels is not None
    sliced = bool((labels.slices >= 0).any())
    study, _ = settled(labels.study, labels.slices)
    present = (bool((study >= 0).any()), sliced, labels.mask is not None)
    return CataloguedStudy(
        uid=surveyed.uid,
        patient=surveyed.patient,
        source=site.settings.name,
        scanner=_scanner(surveyed.slices[0]),
        files=tuple(sorted({header.path for header in surveyed.slices})),
        rows=tuple(rows[line] for line in labels.lines if line in rows),
        labels=tuple(int(label) for label in study),
        kinds=tuple(kind for kind, here in zip(KINDS, present, strict=True) if here),
        split=labels.split,
        dealt=inspection.splits[surveyed.uid],
        pixels=_pixels(surveyed.slices),
    )


def _scanner(header: SliceHeader) -> str:
    tags = ["Manufacturer", "ManufacturerModelName"]
    with reading(header.path) as file:
        named = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags, force=True)
    words = " ".join(str(named.get(tag) or "").strip() for tag in tags).strip()
    layout = header.pixels
    return words or f"{'signed' if layout.signed else 'unsigned'} {layout.bits_stored}-bit from {layout.intercept}"


def _pixels(slices: Sequence[SliceHeader]) -> str:
    """Empty where no slice can be decoded."""
    middle = len(slices) // 2
    for header in (*slices[middle:], *slices[:middle]):
        try:
            return hashlib.sha256(decode_hu(header).tobytes()).hexdigest()
        except UnusableSlice:
            continue
    return ""
