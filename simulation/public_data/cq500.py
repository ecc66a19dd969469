"""CQ500 (Chilamkurthy et al., Lancet 2018): 491 head CTs, three readers, and the scores of Qure's network.

`reads.csv` holds each reader's finding a scan (`R1:ICH` … `R3:SAH`), `prediction_probabilities.csv` the scores;
the truth is the majority of the three readers. Both files, and only these two, are read here.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError

FINDINGS: Final = ("ICH", "IPH", "IVH", "SDH", "EDH", "SAH")
READERS: Final = ("R1", "R2", "R3")
READS_FILE: Final = "reads.csv"
SCORES_FILE: Final = "prediction_probabilities.csv"

Record = Mapping[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class ScoredScans:
    """All scans of both tables in the order of their names.

    labels: int8 (scans, findings), 1 where at least two of three readers saw it, else 0
    scores: float64 (scans, findings), the published probabilities
    """

    names: tuple[str, ...]
    labels: NDArray[np.int8]
    scores: NDArray[np.float64]


def read_scored_scans(folder: Path) -> ScoredScans:
    """Both tables joined by scan name; raises DataError, naming file and column, where they cannot be."""
    reads = _table(folder / READS_FILE, [f"{reader}:{finding}" for finding in FINDINGS for reader in READERS])
    predictions = _table(folder / SCORES_FILE, list(FINDINGS))
    for name in sorted(reads.keys() ^ predictions.keys()):
        absent = SCORES_FILE if name in reads else READS_FILE
        raise DataError(f"{folder / absent}: scan {name} is missing, but the other table has it; fetch both anew.")
    names = tuple(sorted(reads))
    return ScoredScans(
        names=names,
        labels=np.array([[_majority(folder, reads[name], finding) for finding in FINDINGS] for name in names], np.int8),
        scores=np.array([[_score(folder, predictions[name], finding) for finding in FINDINGS] for name in names]),
    )


def _majority(folder: Path, record: Record, finding: str) -> bool:
    votes = [_cell(folder / READS_FILE, record, f"{reader}:{finding}", _vote) for reader in READERS]
    return 2 * sum(votes) > len(votes)


def _score(folder: Path, record: Record, finding: str) -> float:
    return _cell(folder / SCORES_FILE, record, finding, _probability)


def _vote(text: str) -> int:
    return {"0": 0, "1": 1}[text]


def _probability(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


def _cell(path: Path, record: Record, column: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(record[column].strip())
    except (ValueError, KeyError):
        raise DataError(
            f"{path}: scan {record['name']} has {record[column]!r} in column {column}; fetch the file anew."
        ) from None


def _table(path: Path, columns: list[str]) -> dict[str, Record]:
    """Records by scan name; raises DataError where the file, a column or a cell is missing or a name comes twice."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            header, records = reader.fieldnames or [], list(reader)
    except FileNotFoundError:
        raise DataError(f"{path}: not found; fetch it from the CQ500 page (headctstudy.qure.ai/dataset).") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV table ({error}); fetch it anew.") from None
    for column in ("name", *columns):
        if column not in header:
            raise DataError(f"{path}: column {column!r} is missing; use the file as CQ500 publishes it.")
    table: dict[str, Record] = {record["name"]: record for record in records}
    if len(table) < len(records):
        raise DataError(f"{path}: {len(records)} rows name only {len(table)} scans; keep one row a scan.")
    return table
