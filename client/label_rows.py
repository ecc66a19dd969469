"""One line of `labels.csv`: what it says, or why it cannot be used.

Spreadsheets leave their marks on a table: decimals in a column with gaps, quotes and signs around identifiers to keep
them text, lines of nothing but delimiters. Whatever can mean only one thing is read as that; the rest costs the study
that the line speaks of.
"""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from bloodnet_model.labels import CLASSES, SUBTYPES, UNKNOWN
from bloodnet_model.splits import SPLITS, Split
from bloodnet_model.study import GROUP_NAME

IDENTIFIERS: Final = ("sop_instance_uid", "study_instance_uid", "accession_number")
"""From the most specific to the least: a row speaks of the first that it fills in."""

BLANK: Final = " \t\r\n\0\xa0\ufeff"
"""What may stand around a cell and says nothing."""

_VALUES: Final = {
    **dict.fromkeys(("", "na", "nan"), UNKNOWN),
    **dict.fromkeys(("0", "0.0", "0,0"), 0),
    **dict.fromkeys(("1", "1.0", "1,0"), 1),
}
_ROUNDED: Final = re.compile(r"\d([.,]\d+)?[eE]\+\d+")

Cell = TypeVar("Cell")
Meaning = TypeVar("Meaning")

Key = tuple[str, str]
"""What a row speaks of: (identifying column, its value)."""


class LabelRow(NamedTuple):
    """A line of a slice where it has a SOPInstanceUID, else of a study. A table may have a million."""

    line: int
    key: Key
    labels: tuple[int, ...]  # (6,) 0, 1 or -1
    mask: Path | None
    split: Split | None
    study: str
    """StudyInstanceUID in a row that speaks of a slice, where it says it."""
    group: str
    """In which the study is counted; empty where the row says nothing of it."""


@dataclass(frozen=True, slots=True)
class LabelFault:
    """A line that is not used: `reason` is "bad-label" or "label-conflict"; `key` is None where it names nothing."""

    line: int
    reason: str
    detail: str
    key: Key | None


def contradiction(row: LabelRow, other: LabelRow) -> str:
    """How a row contradicts another one on the same thing, which it names; empty where both can be true."""
    for name, one, two in zip(CLASSES, row.labels, other.labels, strict=True):
        if UNKNOWN not in (one, two) and one != two:
            return f"disagrees with line {other.line} on {name}"
    if row.mask and other.mask and row.mask != other.mask:
        return f"names another mask than line {other.line}"
    if row.split and other.split and row.split != other.split:
        return f"names another split than line {other.line}"
    if row.group and other.group and row.group != other.group:
        return f"names another group than line {other.line}"
    if row.study and other.study and row.study != other.study:
        return f"puts the slice into another study than line {other.line}"
    return ""


def merged(first: LabelRow, second: LabelRow) -> LabelRow:
    """What two rows that do not contradict each other say together, under the first one's line and key."""
    labels = tuple(map(max, first.labels, second.labels))  # 0 or 1 beats -1
    mask, split = first.mask or second.mask, first.split or second.split
    return LabelRow(
        first.line, first.key, labels, mask, split, first.study or second.study, first.group or second.group
    )


def cells_of(text: str, delimiter: str) -> list[str]:
    """The cells of one line; no cell of this table has a line break, so a stray quote costs its own line alone."""
    if '"' not in text:  # nearly always, and a third of the time
        return text.split(delimiter)
    return next(csv.reader([text.strip("\r\n")], delimiter=delimiter, skipinitialspace=True), [])


@dataclass
class RowParser:
    """Makes rows of lines; cells that repeat themselves from line to line are understood once.

    folder:  masks are relative to it
    columns: of the file in its order; one without a name, such as a row number, says nothing
    """

    folder: Path
    delimiter: str
    columns: Sequence[str]
    _labels: dict[tuple[str, ...], tuple[int, ...]] = field(default_factory=dict)
    _masks: dict[str, Path | None] = field(default_factory=dict)
    _splits: dict[str, Split | None] = field(default_factory=dict)
    _studies: dict[str, str] = field(default_factory=dict)
    _groups: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        places = {name: place for place, name in enumerate(self.columns) if name}
        self._identifiers = [(name, places[name]) for name in IDENTIFIERS if name in places]
        self._classes: Callable[[Sequence[str]], tuple[str, ...]] = itemgetter(*(places[name] for name in CLASSES))
        self._mask, self._split, self._group = map(places.get, ("mask", "split", "group"))
        self._study = places.get("study_instance_uid")

    def __call__(self, line: int, text: str) -> LabelRow | LabelFault | None:
        """The row of one line; None for a blank one."""
        cells = cells_of(text, self.delimiter)
        key = None
        try:
            key = self._key(cells)
            if key is None and not text.strip(BLANK + self.delimiter + '"'):
                return None
            return self._row(line, key, text, cells)
        except _Unusable as fault:
            return LabelFault(line, fault.reason, str(fault), key)

    def _row(self, line: int, key: Key | None, text: str, cells: list[str]) -> LabelRow:
        while len(cells) > len(self.columns) and not cells[-1].strip(BLANK):
            cells.pop()
        if len(cells) != len(self.columns):
            raise _Unusable("bad-label", f"has {len(cells)} cells, the head {len(self.columns)}")
        if key is None:
            raise _Unusable("bad-label", "names no study; fill in study_instance_uid or accession_number")
        if key[0] == "accession_number" and _ROUNDED.fullmatch(key[1]):
            raise _Unusable("bad-label", f"accession_number {key[1]} was rounded by a spreadsheet; format it as text")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise _Unusable("bad-label", "holds bytes that are not UTF-8; save the table as UTF-8")
        labels = _understood(self._classes(cells), self._labels, _labels)
        mask = None if self._mask is None else _understood(cells[self._mask], self._masks, self._mask_of)
        split = None if self._split is None else _understood(cells[self._split], self._splits, _split)
        study = ""
        if self._study is not None and key[0] == "sop_instance_uid":
            study = _understood(cells[self._study], self._studies, _identifier)
        group = "" if self._group is None else _understood(cells[self._group], self._groups, _group)
        return LabelRow(line, key, labels, mask, split, study, group)

    def _key(self, cells: Sequence[str]) -> Key | None:
        for name, place in self._identifiers:
            value = _identifier(cells[place]) if place < len(cells) else ""
            if value:
                return name, value
        return None

    def _mask_of(self, cell: str) -> Path | None:
        name = cell.strip(BLANK).replace("\\", "/")  # as Windows writes it
        return self.folder / name if name else None


class _Unusable(Exception):
    """One line cannot be used."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _understood(cell: Cell, known: dict[Cell, Meaning], understand: Callable[[Cell], Meaning]) -> Meaning:
    if cell not in known:
        known[cell] = understand(cell)
    return known[cell]


def _identifier(cell: str) -> str:
    """An identifier without what spreadsheets put around it to keep it text, or behind it to make it a number."""
    value = cell.strip(BLANK)
    if value.startswith(("=", '"', "'")):
        value = value.removeprefix("=").strip("\"'" + BLANK)
    return value[:-2] if value.endswith(".0") and value[:-2].isdecimal() else value


def _split(cell: str) -> Split | None:
    said = cell.strip(BLANK).lower()
    if not said:
        return None
    if said not in SPLITS:
        raise _Unusable("bad-label", f"split is {said[:20]!r}; write one of {', '.join(SPLITS)}, or nothing")
    return said


def _group(cell: str) -> str:
    said = cell.strip(BLANK).lower()
    if said and not re.fullmatch(GROUP_NAME, said):
        raise _Unusable(
            "bad-label", f"group is {said[:40]!r}; write up to 32 letters a-z, digits and hyphens, or nothing"
        )
    return said


def _labels(cells: Sequence[str]) -> tuple[int, ...]:
    """Labels with `any` and the subtypes following from each other."""
    values = []
    for name, cell in zip(CLASSES, cells, strict=True):
        said = cell.strip(BLANK)
        if said.lower() not in _VALUES:
            raise _Unusable("bad-label", f"{name} is {said[:20]!r}; write 0, 1, or nothing where it is unknown")
        values.append(_VALUES[said.lower()])
    hemorrhage, *subtypes = values
    if 1 not in subtypes:
        return (0,) * len(CLASSES) if hemorrhage == 0 else (hemorrhage, *subtypes)
    if hemorrhage == 0:
        raise _Unusable("label-conflict", f"any is 0 and {SUBTYPES[subtypes.index(1)]} is 1; correct one of them")
    return 1, *subtypes
