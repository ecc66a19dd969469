"""CT-ICH's table of slices, the same in every version, and the rows of labels.csv that it becomes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from simulation.public_data.data_set import FETCH_ANEW
from simulation.public_data.dicom_series import Origin
from simulation.tables import read_rows

_COLUMNS: Final = (
    "PatientNumber",
    "SliceNumber",
    *(name.capitalize() for name in CLASSES[1:]),
    "No_Hemorrhage",
)

Slices = Mapping[int, tuple[int, ...]]
"""Labels (6,) by SliceNumber less 1."""


def origin_of(name: str) -> Origin:
    """Of a patient as the files are named, `049`; each has one study."""
    return Origin("ct-ich", name, f"CT-ICH-{name}")


def require_all(labels: Mapping[str, Slices], found: Mapping[str, Path], folder: Path, suffix: str) -> None:
    """Raises DataError where a patient of the table is not among what was `found` in `folder`."""
    if absent := sorted(labels.keys() - found.keys()):
        raise DataError(
            f"{folder}: {len(absent)} of {len(labels)} patients are not there, {absent[0]}{suffix} among them; "
            "finish the download, or keep only the rows of your patients in the table."
        )


def label_rows(name: str, slices: Slices, mask: Path | None) -> Iterator[dict[str, object]]:
    """One row of the study and one of each slice."""
    origin = origin_of(name)
    seen = [max(values[j] for values in slices.values()) for j in range(len(CLASSES))]
    drawn = {} if mask is None else {"mask": mask.resolve()}
    yield {"study_instance_uid": origin.study_uid, **dict(zip(CLASSES, seen, strict=True)), **drawn}
    for index, values in slices.items():
        yield {"sop_instance_uid": origin.sop_uid(index), **dict(zip(CLASSES, values, strict=True))}


def read_slices(path: Path) -> dict[str, Slices]:
    """By patient as the volumes are named, `049`. Raises DataError for a row that cannot be true."""
    patients: defaultdict[str, dict[int, tuple[int, ...]]] = defaultdict(dict)
    for line, row in enumerate(read_rows(path, _COLUMNS, FETCH_ANEW), start=2):
        try:
            patient, number, *kinds, none = (int(row[column]) for column in _COLUMNS)
        except ValueError:
            raise DataError(f"{path}: line {line} holds what is no number; fetch the file anew.") from None
        if not {*kinds, none} <= {0, 1} or none == any(kinds):
            raise DataError(f"{path}: line {line} contradicts itself on whether there is a hemorrhage; correct it.")
        slices = patients[f"{patient:03d}"]
        if number - 1 in slices:
            raise DataError(f"{path}: line {line} repeats slice {number} of patient {patient}; keep one of them.")
        slices[number - 1] = (int(any(kinds)), *kinds)
    for name, slices in patients.items():
        if slices.keys() != set(range(len(slices))):
            raise DataError(f"{path}: the slices of patient {name} are not numbered from 1 on; fetch the file anew.")
    return {name: dict(sorted(slices.items())) for name, slices in sorted(patients.items())}
