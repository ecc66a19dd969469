"""What a site's labels file says of one study and its slices, checked for contradictions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES, UNKNOWN
from bloodnet_model.splits import Split
from client.label_rows import Key, LabelFault, LabelRow, contradiction
from client.label_table import COLUMNS, LabelTable, read_labels
from client.slice_header import SliceHeader

__all__ = [
    "COLUMNS",
    "Key",
    "LabelFault",
    "LabelRow",
    "LabelTable",
    "StudyLabels",
    "UnusableLabels",
    "labels_of",
    "read_labels",
    "settled",
    "shared_accessions",
]

_NOTHING: Final = (UNKNOWN,) * len(CLASSES)


class UnusableLabels(DataError):
    """The rows on one study cannot all be read, or not all be true; `reason` is "bad-label" or "label-conflict"."""

    code = "unusable-labels"

    def __init__(self, reason: str, detail: str, lines: Iterable[int]) -> None:
        super().__init__(detail)
        self.reason = reason
        self.lines = tuple(lines)


@dataclass(frozen=True)
class StudyLabels:
    """What the table says of one study's slices.

    study:  int8 (6,)
    slices: int8 (slices, 6)
    lines:  of the rows that say it
    mask:   the mask and the line that names it
    group:  in which the study is counted; empty where nothing says it
    """

    study: NDArray[np.int8]
    slices: NDArray[np.int8]
    lines: tuple[int, ...]
    mask: tuple[Path, int] | None
    split: Split | None
    group: str


def labels_of(table: LabelTable, slices: Sequence[SliceHeader]) -> StudyLabels | None:
    """What the table says of the study these slices belong to; None where it says nothing.

    A study is found by its UID and by its accession number, a slice by its SOPInstanceUID. The row of a multi-frame
    file cannot say which of its frames it means, so it speaks of the study. Raises UnusableLabels.
    """
    study_keys, slice_keys = _keys(slices)
    for key in (*study_keys, *slice_keys):
        if fault := table.spoiled.get(key):
            raise UnusableLabels(fault.reason, f"line {fault.line}: {fault.detail}", [fault.line])
    of_study = [row for row in map(table.rows.get, study_keys) if row is not None]
    of_slices = [table.rows.get(key) for key in slice_keys]
    rows = of_study + [row for row in of_slices if row is not None]
    if all(row.mask is None and row.labels == _NOTHING for row in rows):
        return None
    _refuse_disagreement(rows, of_study, slices[0].study_uid)
    _refuse_denial(of_study, of_slices)
    stacked = np.array([row.labels for row in of_study] or [_NOTHING], np.int8)
    return StudyLabels(
        study=stacked.max(axis=0),  # none denies the other, so that 0 or 1 beats -1
        slices=np.array([row.labels if row else _NOTHING for row in of_slices] or [_NOTHING] * len(slices), np.int8),
        lines=tuple(row.line for row in rows),
        mask=next(((row.mask, row.line) for row in rows if row.mask is not None), None),
        split=next((row.split for row in rows if row.split is not None), None),
        group=next((row.group for row in rows if row.group), ""),
    )


def shared_accessions(table: LabelTable, lines: Mapping[str, Iterable[int]]) -> dict[str, tuple[str, str]]:
    """Reason and detail for studies that share the row of an accession number: nobody knows which of them it means.

    lines: of the labels file, by the study that they were used for
    """
    by_line = {row.line for key, row in table.rows.items() if key[0] == "accession_number"}
    studies: defaultdict[int, list[str]] = defaultdict(list)
    for study, used in lines.items():
        for line in by_line.intersection(used):
            studies[line].append(study)
    return {
        study: (
            "label-conflict",
            f"line {line} names an accession number of {len(sharing)} studies; give their study_instance_uid",
        )
        for line, sharing in sorted(studies.items())
        if len(sharing) > 1
        for study in sharing
    }


def settled(study: NDArray[np.int8], slices: NDArray[np.int8]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Labels of the study (6,) and its slices (slices, 6), each unknown filled in where the rest decides it.

    A class absent from the study is absent from its slices; one seen on a slice is in the study, one absent from all
    slices is not; any subtype is a hemorrhage, and no hemorrhage is no subtype.
    """
    slices = _closed(np.where((slices == UNKNOWN) & (study == 0), 0, slices).astype(np.int8))
    decided = np.where((slices == 1).any(axis=0), 1, np.where((slices == 0).all(axis=0), 0, UNKNOWN))
    return _closed(np.where(study == UNKNOWN, decided, study).astype(np.int8)), slices


def _closed(labels: NDArray[np.int8]) -> NDArray[np.int8]:
    """(..., 6) with `any` and the subtypes following from each other."""
    hemorrhage = np.where(
        (labels[..., :1] == UNKNOWN) & (labels[..., 1:] == 1).any(-1, keepdims=True), 1, labels[..., :1]
    )
    subtypes = np.where((labels[..., 1:] == UNKNOWN) & (hemorrhage == 0), 0, labels[..., 1:])
    return np.concatenate([hemorrhage, subtypes], axis=-1).astype(np.int8)


def _keys(slices: Sequence[SliceHeader]) -> tuple[list[Key], list[Key]]:
    """By which the table speaks of the study, and of each of its slices; none of these for a multi-frame file."""
    first = slices[0]
    of_study = [("study_instance_uid", first.study_uid), ("accession_number", first.accession_number)]
    of_slices = [("sop_instance_uid", header.sop_uid) for header in slices]
    if first.frame is None:
        return of_study, of_slices
    return of_study + list(dict.fromkeys(of_slices)), []


def _refuse_disagreement(rows: Sequence[LabelRow], of_study: Sequence[LabelRow], study_uid: str) -> None:
    """Raises where rows on the study contradict each other, or any two name another mask, split, group or study."""
    for row in rows:
        if row.study not in ("", study_uid):
            raise _conflict(row, "puts the slice into another study than its file does")
    for first, second in combinations(of_study, 2):
        _refuse(first, second)
    for name in ("mask", "split", "group"):
        naming = [row._replace(labels=_NOTHING) for row in rows if getattr(row, name)]
        for row in naming[1:]:
            _refuse(naming[0], row)


def _refuse(first: LabelRow, second: LabelRow) -> None:
    if detail := contradiction(second, first):
        raise _conflict(second, detail, first)


def _refuse_denial(of_study: Sequence[LabelRow], of_slices: Sequence[LabelRow | None]) -> None:
    """Raises where a slice shows what the study's rows deny, or no slice shows what they affirm."""
    known = [row for row in of_slices if row is not None]
    complete = bool(known) and len(known) == len(of_slices)
    for row in of_study:
        for j, (name, label) in enumerate(zip(CLASSES, row.labels, strict=True)):
            shown = next((other for other in known if other.labels[j] == 1), None)
            if label == 0 and shown is not None:
                raise _conflict(shown, f"{name} is 1 on a slice of a study of which line {row.line} says 0", row)
            if label == 1 and complete and all(other.labels[j] == 0 for other in known):
                detail = f"{name} is 1 and the rows of all slices say 0, the first in line {known[0].line}"
                raise _conflict(row, detail, *known)


def _conflict(row: LabelRow, detail: str, *others: LabelRow) -> UnusableLabels:
    lines = sorted({row.line, *(other.line for other in others)})
    return UnusableLabels("label-conflict", f"line {row.line}: {detail}", lines)
