"""CT-ICH (Hssayeni et al., Data 2020; PhysioNet 1.3.1): 75 defaced head CTs with labels of slices and masks.

`ct_scans/049.nii`, `masks/049.nii`, and `hemorrhage_diagnosis_raw_ct.csv`, whose SliceNumber counts the volume's last
axis from 1. The masks do not say of what kind the blood is.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from simulation.public_data.data_set import DataSet, folder_named, table, write_site
from simulation.public_data.dicom_series import Origin
from simulation.public_data.nifti_volumes import volumes, write_mask, write_series

TABLE: Final = "hemorrhage_diagnosis_raw_ct.csv"
_TITLE: Final = "CT-ICH 1.3.1"
_NONE: Final = "No_Hemorrhage"
_COLUMNS: Final = ("PatientNumber", "SliceNumber", *(name.capitalize() for name in CLASSES[1:]), _NONE)

Slices = Mapping[int, tuple[int, ...]]
"""Labels (6,) by index along the volume's last axis."""


def sites(data: Path, out: Path) -> list[Path]:
    """One site. Raises DataError for what is not this data set, or not all of it."""
    labels = _labels(folder_named(data, TABLE, _TITLE))
    scans, masks = volumes(folder_named(data, "ct_scans", _TITLE)), volumes(folder_named(data, "masks", _TITLE))
    for folder, found in (("ct_scans", scans), ("masks", masks)):
        if absent := sorted(labels.keys() - found.keys()):
            raise DataError(
                f"{data / folder}: {len(absent)} of {len(labels)} volumes are not there, {absent[0]}.nii among them; "
                f"finish the download, or keep only the rows of your volumes in {TABLE}."
            )
    home = out / "ct-ich"
    rows: list[dict[str, object]] = []
    for name, slices in labels.items():
        origin = Origin("ct-ich", name, f"CT-ICH-{name}")
        if write_series(scans[name], origin, home / "dicom" / name) != len(slices):
            raise DataError(f"{scans[name]}: has not the {len(slices)} slices that {TABLE} tells of; fetch both anew.")
        mask: dict[str, object] = {}
        if any(values[0] for values in slices.values()):
            mask = {"mask": write_mask(masks[name], scans[name], home / "masks" / f"{name}.nii.gz").resolve()}
        seen = [max(values[j] for values in slices.values()) for j in range(len(CLASSES))]
        rows.append({"study_instance_uid": origin.study_uid, **dict(zip(CLASSES, seen, strict=True)), **mask})
        rows += (
            {"sop_instance_uid": origin.sop_uid(index), **dict(zip(CLASSES, values, strict=True))}
            for index, values in slices.items()
        )
    return [write_site(home, [home / "dicom"], rows)]


def _labels(path: Path) -> dict[str, Slices]:
    """By patient as the volumes are named, `049`. Raises DataError for a row that cannot be true."""
    patients: defaultdict[str, dict[int, tuple[int, ...]]] = defaultdict(dict)
    for line, row in enumerate(table(path, _COLUMNS), start=2):
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
    return {name: dict(sorted(slices.items())) for name, slices in sorted(patients.items())}


DATA_SET: Final = DataSet(
    name="ct-ich",
    title=_TITLE,
    download=f"{TABLE}, ct_scans/ and masks/ of version 1.3.1, as unzipped",
    source="physionet.org/content/ct-ich/1.3.1",
    licence="PhysioNet restricted health data licence",
    size="75 studies, 2,814 slices",
    labels="slice, mask",
    sites=sites,
)
