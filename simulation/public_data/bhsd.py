"""BHSD (Wu et al., MLMI 2023): 192 volumes with masks of all five kinds of hemorrhage, made from RSNA 2019's scans.

A volume is called `ID_<patient>_ID_<study>.nii.gz` after RSNA's identifiers. They are kept, so that a federation of
both data sets is refused where a patient would be in both.
"""

from pathlib import Path
from typing import Final

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError
from simulation.public_data.data_set import DataSet, folder_named
from simulation.public_data.dicom_series import Origin, kept_as
from simulation.public_data.nifti_volumes import volumes, write_series
from simulation.site_folder import write_site

_TITLE: Final = "BHSD"
_PARTS: Final = (("imagesTr", "labelsTr"), ("imagesTs", "labelsTs"))


def sites(data: Path, out: Path, on_progress: OnProgress) -> list[Path]:
    """One site with all volumes; every study has blood, so it can train and not be evaluated alone."""
    rows: list[dict[str, object]] = []
    series: list[Path] = []
    for images, labels in _PARTS:
        scans, masks = volumes(folder_named(data, images, _TITLE)), volumes(folder_named(data, labels, _TITLE))
        if lonely := sorted(scans.keys() ^ masks.keys()):
            raise DataError(f"{data}: {lonely[0]} is in {images} or {labels} and not in both; finish the download.")
        for done, (name, path) in enumerate(scans.items(), start=1):
            origin = _origin(path, name)
            series.append(out / "bhsd" / "dicom" / kept_as(name, path))
            write_series(path, origin, series[-1])
            on_progress(f"reading {images}", done, len(scans))
            rows.append({"study_instance_uid": origin.study_uid, "any": 1, "mask": masks[name].resolve()})
    if not rows:
        raise DataError(f"{data}: {_PARTS[0][0]} holds no volume; finish the download.")
    return [write_site(out / "bhsd", series, rows)]


def _origin(path: Path, name: str) -> Origin:
    patient, separator, study = name.partition("_ID_")
    if not separator or not patient.startswith("ID_"):
        raise DataError(f"{path}: is not named ID_<patient>_ID_<study> as BHSD's volumes are; leave names as unpacked.")
    return Origin("bhsd", f"ID_{study}", patient)


DATA_SET: Final = DataSet(
    name="bhsd",
    title=_TITLE,
    download="imagesTr, labelsTr, imagesTs and labelsTs with their .nii.gz files, as unzipped",
    source="github.com/White65534/BHSD",
    licence="as RSNA 2019, of which it is made; no redistribution",
    size="192 studies",
    labels="mask",
    sites=sites,
)
