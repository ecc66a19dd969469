"""INSTANCE 2022 (Li et al., 2023): 100 volumes of intracranial hemorrhage, with masks that do not say of what kind."""

from pathlib import Path
from typing import Final

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError
from simulation.public_data.data_set import DataSet, folder_named
from simulation.public_data.dicom_series import Origin, kept_as
from simulation.public_data.nifti_volumes import volumes, write_mask, write_series
from simulation.site_folder import write_site

_TITLE: Final = "INSTANCE 2022"


def sites(data: Path, out: Path, on_progress: OnProgress) -> list[Path]:
    """One site with the training volumes, all with blood; those without a mask are the challenge's, and left out."""
    scans, masks = volumes(folder_named(data, "data", _TITLE)), volumes(folder_named(data, "label", _TITLE))
    if lonely := sorted(masks.keys() - scans.keys()):
        raise DataError(f"{data}: label/{lonely[0]} has no volume in data; finish the download.")
    if not masks:
        raise DataError(f"{data}: label holds no mask; finish the download.")
    home = out / "instance2022"
    rows: list[dict[str, object]] = []
    series: list[Path] = []
    for done, (name, mask) in enumerate(masks.items(), start=1):
        origin = Origin("instance2022", name, f"INSTANCE-{name}")
        series.append(home / "dicom" / kept_as(name, scans[name]))
        write_series(scans[name], origin, series[-1])
        written = write_mask(mask, scans[name], home / "masks" / f"{kept_as(name, mask, scans[name])}.nii.gz")
        on_progress("reading volumes", done, len(masks))
        rows.append({"study_instance_uid": origin.study_uid, "any": 1, "mask": written.resolve()})
    return [write_site(home, series, rows)]


DATA_SET: Final = DataSet(
    name="instance2022",
    title=_TITLE,
    download="the training set, data/ and label/ with their .nii.gz files, as unzipped",
    source="instance.grand-challenge.org",
    licence="signed agreement with the challenge; no redistribution",
    size="100 studies",
    labels="mask",
    sites=sites,
)
