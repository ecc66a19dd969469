"""The worklist of a triage as files and as a table."""

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from bloodnet_model.labels import CLASSES
from bloodnet_model.operating_point import OperatingPoint
from client.triage import Triaged

_LONGEST_NAME: Final = 22


_UNSET: Final = 0.5


@dataclass(frozen=True)
class Threshold:
    """The score from which on a study is flagged.

    source: `given` by whoever asked, the model's `operating-point`, or `unset`
    why:    the same for a person
    """

    score: float
    source: str
    why: str

    def flags(self, study: Triaged) -> bool:
        return study.score is not None and study.score >= self.score


def choose_threshold(given: float | None, point: OperatingPoint | None) -> Threshold:
    """What is given, else the model's own, else 0.5, which nobody chose."""
    if given is not None:
        return Threshold(given, "given", "as given by --threshold")
    if point is None:
        why = "unset: nothing is known of validation patients, so choose one with --threshold"
        return Threshold(_UNSET, "unset", why)
    reached = point.rates.sensitivity
    why = f"sensitivity {point.wanted:g} on the run's validation patients ({reached.count} of {reached.of} flagged)"
    return Threshold(point.threshold, "operating-point", why)


def lines(worklist: Sequence[Triaged], threshold: Threshold) -> list[dict[str, Any]]:
    """One record a study, in the order of the worklist, fit for JSON and CSV."""
    return [
        {
            "rank": rank,
            "flagged": threshold.flags(one),
            "study_uid": one.study_uid,
            "folder": str(one.folder),
            "score": _rounded(one.score, 4),
            "threshold": _rounded(threshold.score, 6),
            "threshold_source": threshold.source,
            **{name: _rounded(one.scores.get(name), 4) for name in CLASSES[1:]},
            "volume_ml": _rounded(one.volume_ml, 1),
            "slices": one.slices,
            "unread_slices": one.unread,
            "seconds": _rounded(one.seconds, 2),
            "overlay": overlay_name(rank) if one.overlay is not None else None,
            "reason": one.reason or None,
            "detail": one.detail or None,
        }
        for rank, one in enumerate(worklist, start=1)
    ]


def refuse_other(folder: Path) -> None:
    """Raises DataError where writing would mix with what lies there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: is there already and not an empty folder; give another --out.")


def write_worklist(folder: Path, worklist: Sequence[Triaged], threshold: Threshold) -> None:
    """`worklist.csv`, `worklist.json` and an overlay a study."""
    make_folder(folder)
    for rank, one in enumerate(worklist, start=1):
        if one.overlay is not None:
            write_whole(folder / overlay_name(rank), one.overlay.png())
    records = lines(worklist, threshold)
    table = io.StringIO()
    writer = csv.DictWriter(table, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_whole(folder / "worklist.json", json.dumps(records, indent=1) + "\n")
    write_whole(folder / "worklist.csv", table.getvalue())


def worklist_table(worklist: Sequence[Triaged], threshold: Threshold) -> Table:
    """The worklist for a terminal of 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", justify="right")
    table.add_column("study", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("likeliest kind", no_wrap=True)
    table.add_column("ml", justify="right")
    table.add_column("slices", justify="right")
    table.add_column("s", justify="right")
    for rank, (one, name) in enumerate(zip(worklist, names(worklist), strict=True), start=1):
        if one.score is None:
            table.add_row(str(rank), name, Text("not read", "bold red"), Text(reason_of(one), "red"))
            continue
        flagged = threshold.flags(one)
        kind = max(CLASSES[1:], key=lambda name: one.scores[name])
        shown = f"{kind} {one.scores[kind]:.2f}" if flagged else Text("-", "dim")
        slices = f"{one.slices}/{one.slices + one.unread}" if one.unread else str(one.slices)
        volume = "" if one.volume_ml is None else f"{one.volume_ml:.1f}"
        score = Text(f"{one.score:.3f}", "bold red" if flagged else "")
        table.add_row(str(rank), name, score, shown, volume, slices, f"{one.seconds:.2f}")
    return table


def names(worklist: Sequence[Triaged]) -> list[str]:
    """What a person knows each study by: its folder, or its UID where several studies share a folder."""
    shared = Counter(one.folder for one in worklist)
    return [_shortened(one.folder.name if shared[one.folder] == 1 else one.study_uid) for one in worklist]


def reason_of(one: Triaged) -> str:
    """`too-few-slices` as a person reads it."""
    return one.reason.replace("-", " ")


def overlay_name(rank: int) -> str:
    return f"{rank:04d}.png"


def _shortened(name: str) -> str:
    """Without its middle where it is long: UIDs differ at their ends."""
    if len(name) <= _LONGEST_NAME:
        return name
    half = (_LONGEST_NAME - 1) // 2
    return f"{name[:half]}…{name[half + 1 - _LONGEST_NAME :]}"


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
