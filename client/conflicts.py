"""What only shows when all studies of a site are seen together: reason and detail, by study."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from bloodnet_model.splits import Split
from client.labels import LabelTable, shared_accessions
from client.ledger import Entry

Refusals = Mapping[str, tuple[str, str]]
"""Reason and detail by study."""


@dataclass(frozen=True)
class UsableStudy:
    """A study as far as it matters to the others; `lines` of the labels file speak of it."""

    uid: str
    patient: str
    hemorrhage: int
    split: Split | None
    lines: tuple[int, ...]


def label_conflicts(studies: Iterable[UsableStudy], table: LabelTable) -> Refusals:
    """Studies of a patient whom the labels file puts into two splits, and those that share an accession number."""
    studies = list(studies)
    return {
        **_patients_in_two_splits(studies),
        **shared_accessions(table, {study.uid: study.lines for study in studies}),
    }


def same_pixels(pixels: Iterable[tuple[str, str]]) -> Refusals:
    """Of (study, digest of its prepared pixels) in order, those whose digest an earlier study has."""
    first: dict[str, str] = {}
    again = {}
    for study, digest in pixels:
        if digest and first.setdefault(digest, study) != study:
            again[study] = ("duplicate-pixels", f"kept {first[digest]}")
    return again


def refused(entries: Iterable[Entry], reason: str) -> Iterator[Entry]:
    """The lines of a study that is not used after all: its files are not used either."""
    for entry in entries:
        yield replace(entry, reason=reason, detail="") if entry.kind == "file" and entry.status == "used" else entry


def _patients_in_two_splits(studies: Iterable[UsableStudy]) -> dict[str, tuple[str, str]]:
    splits: defaultdict[str, set[Split]] = defaultdict(set)
    of_patient: defaultdict[str, list[str]] = defaultdict(list)
    for study in studies:
        of_patient[study.patient].append(study.uid)
        if study.split is not None:
            splits[study.patient].add(study.split)
    detail = "the labels file puts this patient into two splits; give all studies of one patient the same split"
    torn = [patient for patient, given in splits.items() if len(given) > 1]
    return {study: ("label-conflict", detail) for patient in torn for study in of_patient[patient]}
