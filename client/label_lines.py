"""What became of every row of the labels file."""

from collections.abc import Iterable, Iterator, Mapping

from client.index import IndexedFile
from client.labels import Key, LabelTable
from client.ledger import Entry
from client.slice_header import SliceHeader


class LabelLines:
    """Told of the site's files and of the rows that were used, it names the rest."""

    def __init__(self, table: LabelTable) -> None:
        self._table = table
        self._present: set[Key] = set()
        self._used: dict[int, tuple[str, str]] = {}

    def found(self, files: Iterable[IndexedFile]) -> None:
        """Note which rows speak of something that is here."""
        for header in (header for file in files for header in file.headers):
            for key in _keys(header):
                if key in self._table.rows or key in self._table.spoiled:
                    self._present.add(key)

    def used(self, lines: Mapping[int, tuple[str, str]]) -> None:
        """Rows of a study that is used; reason and detail where there is a remark."""
        self._used.update(lines)

    def entries(self) -> Iterator[Entry]:
        """A line for every row, and one for every study of which nothing but a label is here."""
        absent: dict[str, int] = {}
        for row in self._table.rows.values():
            unused = ("not-used" if row.key in self._present else "without-study", "")
            reason, detail = self._used.get(row.line, unused)
            yield Entry("label", f"line {row.line}", reason, detail)
            if reason == "without-study":
                absent.setdefault(_study_of(row.key), row.line)
        for fault in self._table.faults:
            yield Entry("label", f"line {fault.line}", fault.reason, fault.detail)
            if fault.key is not None and fault.key not in self._present:
                absent.setdefault(_study_of(fault.key), fault.line)
        for line in self._table.repeats:
            yield Entry("label", f"line {line}", "repeated")
        for study, line in absent.items():
            if study:
                yield Entry("study", study, "no-files", f"line {line}")


def _study_of(key: Key) -> str:
    """The study that a row speaks of, under whichever name; empty where it speaks of a slice alone."""
    return key[1] if key[0] != "sop_instance_uid" else ""


def _keys(header: SliceHeader) -> tuple[Key, ...]:
    return (
        ("study_instance_uid", header.study_uid),
        ("accession_number", header.accession_number),
        ("sop_instance_uid", header.sop_uid),
    )
