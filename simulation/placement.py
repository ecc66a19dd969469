"""A partition as a table: which study is at which virtual hospital, in which split, with which labels.

The table is written beside a run and can be read back, so that others repeat the partition exactly.
"""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bloodnet_model.errors import DataError
from bloodnet_model.files import write_whole
from bloodnet_model.labels import CLASSES, UNKNOWN
from bloodnet_model.splits import HELD_OUT, SPLITS, Split
from bloodnet_model.study import SITE_NAME
from simulation.catalogue import KINDS, CataloguedStudy
from simulation.tables import read_rows

TABLE: Final = "partition.csv"
COLUMNS: Final = ("site", "split", "study", "patient", "source", "scanner", "labels", *CLASSES)
"""`labels` names the kinds that the site has of the study, the classes are those of the whole study."""
_NEEDED: Final = ("site", "split", "study", "labels")


@dataclass(frozen=True)
class PlacedStudy:
    """A study at its virtual hospital; `kinds` are those of its labels that the hospital has."""

    site: str
    split: Split
    study: CataloguedStudy
    kinds: tuple[str, ...]


def write_table(path: Path, placed: Iterable[PlacedStudy]) -> None:
    """Ordered by site and study."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for at in sorted(placed, key=lambda at: (at.site, at.study.uid)):
        study = at.study
        labels = ["" if label == UNKNOWN else label for label in study.labels]
        origin = (study.uid, study.patient, study.source, study.scanner)
        rows.writerow([at.site, at.split, *origin, " ".join(at.kinds), *labels])
    write_whole(path, text.getvalue())


def read_table(path: Path, studies: Sequence[CataloguedStudy]) -> list[PlacedStudy]:
    """Place `studies` as the table says; those that it does not name are left out.

    Raises DataError, naming the line, where the table cannot be read or names what is not there.
    """
    known = {study.uid: study for study in studies}
    lines: dict[str, int] = {}
    placed = []
    for line, row in enumerate(read_rows(path, _NEEDED, f"use a {TABLE} that a run has written"), start=2):
        placed.append(_placed(path, line, row, known))
        if lines.setdefault(row["study"], line) != line:
            raise DataError(f"{path}: lines {lines[row['study']]} and {line} name the same study; keep one of them.")
    if not placed:
        raise DataError(f"{path}: names no study; use a {TABLE} that a run has written.")
    return placed


def shares(placed: Iterable[PlacedStudy]) -> dict[str, dict[str, Any]]:
    """What each site was dealt, as a report tells it: counts of studies, patients, findings and kinds of labels.

    `tests` names the test set of a site on whose patients nobody trains.
    """
    sites: defaultdict[str, list[PlacedStudy]] = defaultdict(list)
    for at in placed:
        sites[at.site].append(at)
    return {name: _share(sites[name]) for name in sorted(sites)}


def _share(placed: Sequence[PlacedStudy]) -> dict[str, Any]:
    known = {"none": 0, **{CLASSES[0]: 0}, **dict.fromkeys(CLASSES[1:], 0), "unknown": 0}
    findings = Counter(known)
    for at in placed:
        findings.update(_findings(at.study.labels))
    return {
        "tests": placed[0].split if all(at.split in HELD_OUT for at in placed) else "",
        "studies": len(placed),
        "patients": len({at.study.patient for at in placed}),
        "findings": {name.replace(CLASSES[0], "any kind"): findings[name] for name in known},
        "labels": {kind: count for kind in KINDS if (count := sum(kind in at.kinds for at in placed))},
    }


def _findings(labels: Sequence[int]) -> list[str]:
    if labels[0] != 1:
        return ["none" if labels[0] == 0 else "unknown"]
    return [name for name, label in zip(CLASSES, labels, strict=True) if label == 1]


def refuse_leakage(placed: Iterable[PlacedStudy]) -> None:
    """Raises DataError, naming the pair, where a study, a patient or a scan is at two sites or in two splits."""
    studies: dict[str, PlacedStudy] = {}
    patients: dict[str, PlacedStudy] = {}
    pixels: dict[str, PlacedStudy] = {}
    for at in placed:
        _refuse(studies.setdefault(at.study.uid, at), at, f"study {at.study.uid} is")
        _refuse(patients.setdefault(at.study.patient, at), at, f"patient {at.study.patient} is")
        if at.study.pixels:
            first = pixels.setdefault(at.study.pixels, at)
            _refuse(first, at, f"studies {first.study.uid} and {at.study.uid} hold the same pixels and are")


def _refuse(first: PlacedStudy, second: PlacedStudy, what: str) -> None:
    if first is second or (first.site, first.split) == (second.site, second.split):
        return
    where = f"{first.site} ({first.split}) and {second.site} ({second.split})"
    raise DataError(f"{what} at {where}; take one of the two out of the data.")


def _placed(path: Path, line: int, row: Mapping[str, str], known: Mapping[str, CataloguedStudy]) -> PlacedStudy:
    study = known.get(row["study"])
    if study is None:
        raise DataError(
            f"{path}: line {line} names study {row['study']}, which the data does not hold in usable form; "
            "give the data that the table was made from."
        )
    if not re.fullmatch(SITE_NAME, row["site"]):
        raise DataError(f"{path}: line {line} has site {row['site']!r}; a name is of letters, digits and hyphens.")
    if row["split"] not in SPLITS:
        raise DataError(f"{path}: line {line} has split {row['split']!r}; write one of {', '.join(SPLITS)}.")
    kinds = tuple(row["labels"].split())
    if not kinds or not set(kinds) <= set(study.kinds):
        raise DataError(
            f"{path}: line {line} has labels {row['labels']!r}; of this study there are: {' '.join(study.kinds)}."
        )
    return PlacedStudy(row["site"], row["split"], study, tuple(kind for kind in KINDS if kind in kinds))
