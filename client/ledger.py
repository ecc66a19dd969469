"""The data ledger: what became of every file, series, study and label row, and why. It never leaves the site."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from bloodnet_model.files import writing_whole
from bloodnet_model.reasons import FAULTS, RULES

Kind = Literal["file", "series", "study", "label"]
Status = Literal["used", "skipped", "quarantined"]

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
        if self.reason in FAULTS:
            return "quarantined"
        return "skipped" if self.reason in RULES else "used"


@dataclass(frozen=True)
class Ledger:
    """The ledgers of a site, or of a site's members, read from disk line by line."""

    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Entry]:
        for path in self.paths:
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    yield Entry(cast(Kind, row["kind"]), row["item"], row["reason"], row["detail"])

    def counts(self) -> dict[str, int]:
        """How many lines of each kind and reason: `study-used`, `file-contrast`, `label-not-used`, ..."""
        return counts(self)

    def summary(self) -> str:
        """One line that answers: is all my data used?"""
        return summary(self.counts())


def write_ledger(path: Path, root: Path, entries: Iterable[Entry]) -> None:
    """Write `entries` as CSV, one by one, whole or not at all; files are named relative to `root`."""
    prefix = f"{root}/"
    with writing_whole(path) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_COLUMNS)
        rows.writerows((e.kind, e.item.removeprefix(prefix), e.status, e.reason, e.detail) for e in entries)


@dataclass(frozen=True)
class Coverage:
    """How many of the studies that the labels file names are used."""

    labelled: int
    usable: int

    @property
    def share(self) -> float:
        return self.usable / self.labelled if self.labelled else 1.0


def coverage(counted: Mapping[str, int]) -> Coverage:
    """From what `counts` gives: every study has a line, and one that no label speaks of says so."""
    labelled = {key: n for key, n in counted.items() if key.startswith("study-") and key != "study-no-label"}
    unused = sum(n for key, n in labelled.items() if _left_out(key.removeprefix("study-")))
    return Coverage(sum(labelled.values()), sum(labelled.values()) - unused)


def counts(entries: Iterable[Entry]) -> dict[str, int]:
    """How many entries of each kind and reason, `<kind>-<reason or used>`; numbers alone, fit to send."""
    return dict(sorted(Counter(f"{entry.kind}-{entry.reason or 'used'}" for entry in entries).items()))


def summary(counted: Mapping[str, int]) -> str:
    """Is all the data used? One line, from what `counts` gives."""
    return f"{_sentence(counted, 'study', 'studies')}; {_sentence(counted, 'file', 'files')}."


def _left_out(reason: str) -> bool:
    return reason in FAULTS or reason in RULES


def _sentence(counted: Mapping[str, int], kind: str, plural: str) -> str:
    found = {key.removeprefix(f"{kind}-"): n for key, n in counted.items() if key.startswith(f"{kind}-")}
    unused = Counter({reason: n for reason, n in found.items() if _left_out(reason)})
    total = sum(found.values())
    used = total - unused.total()
    if not unused:
        return f"all {used} {plural} are used"
    why = ", ".join(f"{count} {reason}" for reason, count in unused.most_common())
    return f"{used} of {total} {plural} are used, not used: {why}"
