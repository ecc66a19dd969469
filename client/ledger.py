"""The data ledger: what became of every file, series, study and label row, and why. It never leaves the site."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self, cast

from bloodnet_model.files import write_whole

Kind = Literal["file", "series", "study", "label"]
Status = Literal["used", "skipped", "quarantined"]

_FAULTS: Final[Mapping[str, str]] = {
    "missing-file": "A manifest names this file, and it is not there.",
    "unreadable": "The operating system could not read the file.",
    "bad-header": "The header lacks an identifier or holds a malformed one.",
    "no-pixels": "The file is a CT by its header and holds no pixel data.",
    "multi-frame": "An enhanced or multi-frame object; the site's export can write it as single slices.",
    "not-greyscale": "A colour picture (a screenshot or report), which holds no HU.",
    "no-rescale": "RescaleSlope or RescaleIntercept is missing, so HU are unknown.",
    "no-spacing": "PixelSpacing is missing, so nothing can be measured.",
    "no-orientation": "ImageOrientationPatient is missing, and nothing says that the image is axial.",
    "no-position": "The slice's place in the stack is unknown.",
    "undecodable": "No decoder could read the compressed pixels.",
    "truncated": "The pixel data is shorter than the header announces.",
    "wrong-shape": "The pixels decode to another size than the header announces.",
}
_RULES: Final[Mapping[str, str]] = {
    "not-dicom": "The file is not DICOM.",
    "not-ct": "The file or series is of another modality, or no image.",
    "localizer": "A localizer (scout, topogram).",
    "secondary": "A secondary capture, projection or map computed from other images.",
    "not-axial": "The plane lies more than 35 degrees from axial.",
    "mixed-geometry": "The orientation, matrix or spacing differs from that of most of the series.",
    "duplicate-file": "Another file with this SOPInstanceUID is kept.",
    "duplicate-position": "Another slice of the series at this position is kept.",
    "too-few-slices": "The series has fewer distinct positions than `minimum_slices`.",
    "contrast": "The header says that contrast agent was given.",
    "bone": "A bone or lung reconstruction.",
    "other-series": "The series is usable; another of the same study fits better.",
    "too-few-readable": "Fewer slices than `minimum_slices` could be decoded.",
    "no-label": "No row of the labels file says anything of the study.",
    "without-study": "No usable header of this site has the row's identifiers.",
    "not-used": "The row's study or slice is not among those used.",
    "repeated": "An equal row stands further up.",
}
_REMARKS: Final[Mapping[str, str]] = {
    "by-instance-number": "No slice of the series has a position; InstanceNumber ordered them.",
    "mask-missing": "The mask file is not there; the study is used without it.",
    "mask-unreadable": "The mask cannot be read as NIfTI; the study is used without it.",
    "mask-values": "The mask holds other values than 0 to 5; the study is used without it.",
    "mask-size": "The mask does not cover the chosen series' slices; the study is used without it.",
    "mask-geometry": "The mask lies on another grid than the chosen series; the study is used without it.",
    "mask-contradicts": "The mask shows what the study's labels exclude, or is empty where they see blood; "
    "the study is used without it.",
}
REASONS: Final[Mapping[str, str]] = {**_FAULTS, **_RULES, **_REMARKS}
"""What each reason code means. A used item has none, or one of the remarks."""

_COLUMNS: Final = ("kind", "item", "status", "reason", "detail")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. Its reason decides its status; `item` is a path, a UID or a line of the labels file."""

    kind: Kind
    item: str
    reason: str = ""
    detail: str = ""

    @property
    def status(self) -> Status:
        if self.reason in _FAULTS:
            return "quarantined"
        return "skipped" if self.reason in _RULES else "used"


class Ledger:
    """Lines in the order in which things were found; files are named relative to the site's folder."""

    def __init__(self, root: Path, entries: Iterable[Entry] = ()) -> None:
        self._prefix = f"{root}/"
        self._entries: list[Entry] = []
        self.extend(entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def add(self, kind: Kind, item: str | Path, reason: str = "", detail: str = "") -> None:
        self._entries.append(Entry(kind, str(item).removeprefix(self._prefix), reason, detail))

    def extend(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.add(entry.kind, entry.item, entry.reason, entry.detail)

    def counts(self) -> dict[str, int]:
        """How many lines of each kind and reason: `study-used`, `file-contrast`, `label-not-used`, ..."""
        return dict(sorted(Counter(f"{entry.kind}-{entry.reason or 'used'}" for entry in self).items()))

    def summary(self) -> str:
        """One line that answers: is all my data used?"""
        return f"{self._sentence('study', 'studies')}; {self._sentence('file', 'files')}."

    def _sentence(self, kind: Kind, plural: str) -> str:
        found = [entry for entry in self if entry.kind == kind]
        unused = Counter(entry.reason for entry in found if entry.status != "used")
        used = len(found) - unused.total()
        if not unused:
            return f"all {used} {plural} are used"
        why = ", ".join(f"{count} {reason}" for reason, count in unused.most_common())
        return f"{used} of {len(found)} {plural} are used, not used: {why}"

    def write(self, path: Path) -> None:
        """As CSV, whole or not at all."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(_COLUMNS)
        rows.writerows((entry.kind, entry.item, entry.status, entry.reason, entry.detail) for entry in self)
        write_whole(path, text.getvalue())

    @classmethod
    def read(cls, path: Path, root: Path) -> Self:
        """The ledger that `write` wrote to `path`."""
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            return cls(
                root, (Entry(cast(Kind, row["kind"]), row["item"], row["reason"], row["detail"]) for row in rows)
            )
