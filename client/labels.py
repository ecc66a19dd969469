"""`labels.csv`: what a site knows of its studies and slices, checked for contradictions as it is read."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES, SUBTYPES, UNKNOWN
from client.dicom import SliceHeader
from client.splits import SPLITS, Split

_IDENTIFIERS: Final = ("sop_instance_uid", "study_instance_uid", "accession_number")
"""From the most specific to the least: a row speaks of the first that it fills in."""

_COLUMNS: Final = (*_IDENTIFIERS, *CLASSES, "mask", "split")
_VALUES: Final = {"": UNKNOWN, "0": 0, "0.0": 0, "1": 1, "1.0": 1}  # tables with gaps are often saved as decimals

Key = tuple[str, str]
"""What a row speaks of: (identifying column, its value)."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One line: of a slice where it has a SOPInstanceUID, else of a study."""

    line: int
    key: Key
    labels: tuple[int, ...]  # (6,) 0, 1 or -1
    mask: Path | None
    split: Split | None


@dataclass(frozen=True)
class LabelTable:
    """All rows by what they speak of; `repeats` are the lines that say again what a row above them says."""

    path: Path
    rows: Mapping[Key, LabelRow]
    repeats: tuple[int, ...]

    @property
    def masks(self) -> list[Path]:
        return sorted({row.mask for row in self.rows.values() if row.mask is not None})


@dataclass(frozen=True)
class StudyLabels:
    """What the table says of one study's slices.

    study:  int8 (6,)
    slices: int8 (slices, 6)
    lines:  of the rows that say it
    mask:   the mask and the line that names it
    """

    study: NDArray[np.int8]
    slices: NDArray[np.int8]
    lines: tuple[int, ...]
    mask: tuple[Path, int] | None
    split: Split | None


def read_labels(path: Path) -> LabelTable:
    """Read and check a labels file; raises DataError, naming file and line."""
    rows: dict[Key, LabelRow] = {}
    repeats = []
    for row in _rows(path):
        first = rows.setdefault(row.key, row)
        if first is row:
            continue
        if (first.labels, first.mask, first.split) != (row.labels, row.mask, row.split):
            raise DataError(
                f"{path}, line {row.line}: says otherwise of what line {first.line} says; keep one of them."
            )
        repeats.append(row.line)
    return LabelTable(path, rows, tuple(repeats))


def labels_of(table: LabelTable, slices: Sequence[SliceHeader]) -> StudyLabels | None:
    """What the table says of the study these slices belong to; None where it says nothing.

    A study is found by its UID, else by its accession number. Raises DataError where its rows contradict each other.
    """
    study_row = table.rows.get(("study_instance_uid", slices[0].study_uid)) or table.rows.get(
        ("accession_number", slices[0].accession_number)
    )
    slice_rows = [table.rows.get(("sop_instance_uid", header.sop_uid)) for header in slices]
    rows = [row for row in (study_row, *slice_rows) if row is not None]
    unknown = (UNKNOWN,) * len(CLASSES)
    masks = {row.mask: (row.mask, row.line) for row in rows if row.mask is not None}
    splits = {row.split: row.line for row in rows if row.split is not None}
    if not masks and all(row.labels == unknown for row in rows):
        return None
    if len(masks) > 1 or len(splits) > 1:
        raise DataError(f"{table.path}, line {rows[-1].line}: names another mask or split than the study's other rows.")
    if study_row is not None:
        _agree(table.path, study_row, rows[1:])
    return StudyLabels(
        study=np.array(study_row.labels if study_row else unknown, np.int8),
        slices=np.array([row.labels if row else unknown for row in slice_rows], np.int8),
        lines=tuple(row.line for row in rows),
        mask=next(iter(masks.values()), None),
        split=next(iter(splits), None),
    )


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


def _agree(path: Path, study: LabelRow, slices: Sequence[LabelRow]) -> None:
    for row in slices:
        for name, of_study, of_slice in zip(CLASSES, study.labels, row.labels, strict=True):
            if of_study == 0 and of_slice == 1:
                raise DataError(
                    f"{path}, line {row.line}: {name} is 1 on a slice of a study whose line {study.line} says 0."
                )


def _rows(path: Path) -> Iterator[LabelRow]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            _check_columns(path, table.fieldnames or [])
            for record in table:
                yield _row(path, table.line_num, record)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; `labels` in site.yaml should name the labels file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error}); save it as comma-separated UTF-8.") from None


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in _COLUMNS:
            near = get_close_matches(name, _COLUMNS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_COLUMNS)}."
            raise DataError(f"{path}: unknown column {name!r}; {hint}")
    missing = [name for name in CLASSES if name not in columns]
    if missing:
        raise DataError(f"{path}: column {missing[0]} is missing; add it, empty where nobody knows.")
    if not set(_IDENTIFIERS) & set(columns):
        raise DataError(f"{path}: no column identifies a study; add study_instance_uid or accession_number.")


def _row(path: Path, line: int, record: Mapping[str | None, str | None]) -> LabelRow:
    where = f"{path}, line {line}"
    if None in record or None in record.values():
        raise DataError(f"{where}: has not as many cells as the table has columns; correct it.")
    cells = {str(name): str(value).strip() for name, value in record.items()}
    key = next(((name, cells[name]) for name in _IDENTIFIERS if cells.get(name)), None)
    if key is None:
        raise DataError(f"{where}: names no study; fill in study_instance_uid or accession_number.")
    for name in CLASSES:
        if cells[name] not in _VALUES:
            raise DataError(f"{where}: {name} is {cells[name]!r}; write 0, 1, or nothing where it is unknown.")
    split = cells.get("split", "")
    if split not in ("", *SPLITS):
        raise DataError(f"{where}: split is {split!r}; write one of {', '.join(SPLITS)}, or nothing.")
    mask = cells.get("mask", "")
    labels = _consistent(where, [_VALUES[cells[name]] for name in CLASSES])
    return LabelRow(line, key, labels, path.parent / mask if mask else None, cast(Split, split) if split else None)


def _consistent(where: str, labels: Sequence[int]) -> tuple[int, ...]:
    """The labels with `any` and the subtypes following from each other; raises DataError where they contradict.

    In plain integers, for a table may have a row for each of a million slices.
    """
    hemorrhage, *subtypes = labels
    if 1 not in subtypes:
        return (0,) * len(labels) if hemorrhage == 0 else tuple(labels)
    if hemorrhage == 0:
        raise DataError(f"{where}: any is 0 and {SUBTYPES[subtypes.index(1)]} is 1; correct one of them.")
    return 1, *subtypes
