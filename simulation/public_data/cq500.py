"""CQ500 (Chilamkurthy et al., Lancet 2018): 491 head CTs, three readers, and the scores of Qure's network.

`reads.csv` holds each reader's finding a scan (`R1:ICH` … `R3:SAH`), `prediction_probabilities.csv` the scores;
the truth is the majority of the three readers. The scans themselves lie in folders named `CQ500-CT-17` (or
`CQ500CT17 CQ500CT17`, as the zip files have it), each with its series below. Batch B1 was collected as it came, B2
enriched by reports; they become two sites, or the two test sets of a federation that others train.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError, UnusableSlice
from client.dicom import read_headers
from client.slice_header import SliceHeader
from simulation.public_data.data_set import FETCH_ANEW, DataSet, file_named
from simulation.site_folder import write_site
from simulation.tables import read_rows

FINDINGS: Final = ("ICH", "IPH", "IVH", "SDH", "EDH", "SAH")
READERS: Final = ("R1", "R2", "R3")
BATCHES: Final = ("B1", "B2")
READS_FILE: Final = "reads.csv"
SCORES_FILE: Final = "prediction_probabilities.csv"
_TITLE: Final = "CQ500"
_SOURCE: Final = "headctstudy.qure.ai/dataset"
_SCAN_FOLDER: Final = re.compile(r"CQ500-?CT-?(\d+)\b")
_CLASS_OF: Final = {
    "ICH": "any",
    "IPH": "intraparenchymal",
    "IVH": "intraventricular",
    "SDH": "subdural",
    "EDH": "epidural",
    "SAH": "subarachnoid",
}

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
    if not path.is_file():
        raise DataError(f"{path}: not found; fetch it from the CQ500 page ({_SOURCE}).")
    records = read_rows(path, ["name", *columns], FETCH_ANEW)
    table: dict[str, Record] = {record["name"]: record for record in records}
    if len(table) < len(records):
        raise DataError(f"{path}: {len(records)} rows name only {len(table)} scans; keep one row a scan.")
    return table


def sites(data: Path, out: Path, on_progress: OnProgress) -> list[Path]:
    """The scans that are there, as two sites by batch. Raises DataError for what is not this data set."""
    file_named(data, READS_FILE, _TITLE)
    votes = [f"{reader}:{finding}" for finding in FINDINGS for reader in READERS]
    reads = _table(data / READS_FILE, ["Category", *votes])
    scans = _scan_folders(data)
    if strange := sorted(scans.keys() - reads.keys()):
        raise DataError(f"{scans[strange[0]]}: {READS_FILE} has no row {strange[0]}; fetch the table anew.")
    if absent := sorted(reads.keys() - scans.keys()):
        raise DataError(
            f"{data}: {len(absent)} of {len(reads)} scans are not there, {absent[0]} among them; finish the download, "
            f"or keep only the rows of your scans in {READS_FILE}."
        )
    written = []
    if strange := sorted({record["Category"] for record in reads.values()} - set(BATCHES)):
        raise DataError(f"{data / READS_FILE}: has Category {strange[0]!r}, which is no batch of CQ500; {FETCH_ANEW}.")
    for batch in BATCHES:
        names = sorted((name for name in reads if reads[name]["Category"] == batch), key=lambda name: (len(name), name))
        rows = []
        for done, name in enumerate(names, start=1):
            rows.append(_row(data, reads[name], scans[name]))
            on_progress(f"looking into {batch}", done, len(names))
        if names:
            written.append(write_site(out / _site_name(batch), [scans[name] for name in names], rows))
    return written


def _site_name(batch: str) -> str:
    return f"cq500-{batch.lower()}"


def _scan_folders(data: Path) -> dict[str, Path]:
    """By the name that a scan has in the tables."""
    folders: dict[str, Path] = {}
    for path in sorted(data.iterdir()):
        match = _SCAN_FOLDER.match(path.name) if path.is_dir() else None
        if match and folders.setdefault(f"CQ500-CT-{int(match[1])}", path) != path:
            first = folders[f"CQ500-CT-{int(match[1])}"]
            raise DataError(f"{path}: holds the same scan as {first.name}; keep one of the two folders.")
    return folders


def _row(data: Path, record: Record, scan: Path) -> dict[str, object]:
    header = next(_headers(scan), None)
    if header is None:
        raise DataError(f"{scan}: holds no CT slice; unpack its zip file anew.")
    seen = {_CLASS_OF[finding]: _majority(data, record, finding) for finding in FINDINGS}
    hemorrhage = seen.pop("any")
    if hemorrhage and not any(seen.values()):  # the readers agree that it bleeds, not where: six scans
        return {"study_instance_uid": header.study_uid, "any": 1}
    return {"study_instance_uid": header.study_uid, "any": int(hemorrhage), **{k: int(v) for k, v in seen.items()}}


def _headers(scan: Path) -> Iterator[SliceHeader]:
    for path in sorted(path for path in scan.rglob("*") if path.is_file()):
        with suppress(UnusableSlice):
            yield from read_headers(path)


DATA_SET: Final = DataSet(
    name="cq500",
    title=_TITLE,
    download=f"{READS_FILE} and the folders of the scans, CQ500-CT-0 to CQ500-CT-490, as unzipped",
    source=_SOURCE,
    licence="CC BY-NC-SA 4.0",
    size="491 studies",
    labels="study",
    sites=sites,
    held_out={_site_name("B1"): "test-random", _site_name("B2"): "test-enriched"},
)
