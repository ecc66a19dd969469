"""`labels.csv` as a whole: its rows by what they speak of, and those that cannot be used, each with its line.

The file may come out of a spreadsheet: with a byte order mark, in UTF-16, with semicolons or tabs, with capitals or
without underscores in its head. Only a file in which no row could be trusted is refused as a whole.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Final, TextIO

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from client.label_rows import BLANK, IDENTIFIERS, Key, LabelFault, LabelRow, RowParser, cells_of, contradiction, merged

COLUMNS: Final = (*IDENTIFIERS, *CLASSES, "mask", "split", "group")
"""All that a labels file may have. The classes must be there, and one identifier."""

_COLUMN_OF: Final = {name.replace("_", ""): name for name in COLUMNS}
_LONGEST_LINE: Final = 1 << 20
"""Characters; what has longer lines is no table."""


@dataclass(frozen=True)
class LabelTable:
    """All usable rows by what they speak of.

    repeats: lines that speak of the same as a row above them, and agree with it
    faults:  lines that cannot be used, and those beside them that speak of the same; in the file's order
    """

    path: Path
    rows: Mapping[Key, LabelRow]
    repeats: tuple[int, ...]
    faults: tuple[LabelFault, ...]

    @property
    def masks(self) -> list[Path]:
        return sorted({row.mask for row in self.rows.values() if row.mask is not None})

    @cached_property
    def spoiled(self) -> Mapping[Key, LabelFault]:
        """Of what nothing can be believed, with the first fault that says why."""
        return {fault.key: fault for fault in reversed(self.faults) if fault.key is not None}


def read_labels(path: Path) -> LabelTable:
    """Read a labels file. Raises DataError only where the file as a whole cannot be used."""
    rows: dict[Key, LabelRow] = {}
    repeats: list[int] = []
    faults: list[LabelFault] = []
    for row in _rows(path):
        if isinstance(row, LabelFault):
            faults.append(row)
            continue
        first = rows.setdefault(row.key, row)
        if first is row:
            continue
        if contradiction(first, row):
            pairs = (first, row), (row, first)
            faults += (LabelFault(a.line, "label-conflict", contradiction(a, b), a.key) for a, b in pairs)
        else:
            rows[row.key] = merged(first, row)
            repeats.append(row.line)
    faults += _beside(faults, rows)
    by_line = {fault.line: fault for fault in reversed(faults)}
    return LabelTable(path, rows, tuple(repeats), tuple(by_line[line] for line in sorted(by_line)))


def _beside(faults: Sequence[LabelFault], rows: dict[Key, LabelRow]) -> list[LabelFault]:
    """Takes the rows out that speak of the same as a faulty line: nobody knows which of the two is right."""
    return [
        LabelFault(row.line, fault.reason, f"line {fault.line}, which speaks of the same, cannot be used", row.key)
        for fault in faults
        if fault.key is not None and (row := rows.pop(fault.key, None)) is not None
    ]


def _rows(path: Path) -> Iterator[LabelRow | LabelFault]:
    with _opened(path) as file:
        lines = _numbered(path, file)
        parser = _parser(path, lines)
        for line, text in lines:
            row = parser(line, text)
            if row is not None:
                yield row


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The file as text. A byte that is not UTF-8 becomes a surrogate, for which its row alone answers."""
    try:
        with path.open("rb") as file:
            wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff")  # "Unicode text", as spreadsheets call it
        encoding, errors = ("utf-16", "strict") if wide else ("utf-8-sig", "surrogateescape")
        with path.open(encoding=encoding, errors=errors) as text:
            yield text
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; `labels` in site.yaml should name the labels file.") from None
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); save it as comma-separated UTF-8.") from None


def _numbered(path: Path, file: TextIO) -> Iterator[tuple[int, str]]:
    """Lines, from 1."""
    line = 0
    while text := file.readline(_LONGEST_LINE):
        line += 1
        if len(text) == _LONGEST_LINE:
            raise DataError(f"{path}, line {line}: has no end; save the labels as comma-separated UTF-8.")
        yield line, text


def _parser(path: Path, lines: Iterator[tuple[int, str]]) -> RowParser:
    """Takes the table's head off `lines`; raises DataError where it names no usable table."""
    for _, text in lines:
        if not text.strip(BLANK) or re.fullmatch(r"sep=.\s*", text):  # a spreadsheet's note to itself
            continue
        columns = {delimiter: [_column(cell) for cell in cells_of(text, delimiter)] for delimiter in ",;\t"}
        delimiter = max(columns, key=lambda each: sum(name in COLUMNS for name in columns[each]))
        _check_columns(path, columns[delimiter])
        return RowParser(path.parent, delimiter, columns[delimiter])
    raise DataError(f"{path}: is empty; its first line must name the columns {', '.join(COLUMNS)}.")


def _column(cell: str) -> str:
    """The column that a cell of the head means (`StudyInstanceUID` is one, too), else what it says."""
    said = cell.strip(BLANK)
    return _COLUMN_OF.get(re.sub(r"[\s_-]", "", said.lower()), said)


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if columns[0].startswith("PK") or any("\0" in name for name in columns):
        raise DataError(f"{path}: is no text; save the spreadsheet as comma-separated UTF-8.")
    named = [name for name in columns if name]
    for name in named:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(COLUMNS)}."
            raise DataError(f"{path}: unknown column {name[:40]!r}; {hint}")
        if named.count(name) > 1:
            raise DataError(f"{path}: has two columns {name}; keep one of them.")
    missing = [name for name in CLASSES if name not in named]
    if missing:
        raise DataError(f"{path}: column {missing[0]} is missing; add it, empty where nobody knows.")
    if not set(IDENTIFIERS) & set(named):
        raise DataError(f"{path}: no column identifies a study; add study_instance_uid or accession_number.")
