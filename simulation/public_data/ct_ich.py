"""CT-ICH (Hssayeni et al., Data 2020): head CTs with labels of slices and masks that name no kind of blood.

Version 1.3.1 holds 75 defaced volumes, `ct_scans/049.nii` and `masks/049.nii`, and
`hemorrhage_diagnosis_raw_ct.csv`, whose SliceNumber counts the volume's last axis from 1. The versions before it hold
pictures of 82 patients: see `ct_ich_jpeg`.
"""

from pathlib import Path
from typing import Final

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError
from simulation.public_data import ct_ich_jpeg
from simulation.public_data.ct_ich_table import label_rows, origin_of, read_slices, require_all
from simulation.public_data.data_set import DataSet, file_named, folder_named
from simulation.public_data.dicom_series import kept_as
from simulation.public_data.nifti_volumes import volumes, write_mask, write_series
from simulation.site_folder import write_site

TABLE: Final = "hemorrhage_diagnosis_raw_ct.csv"
_TITLE: Final = "CT-ICH"


def sites(data: Path, out: Path, on_progress: OnProgress) -> list[Path]:
    """One site, of volumes or of pictures, whichever is there. Raises DataError for what is neither, or not all."""
    if not (data / TABLE).exists() and (data / ct_ich_jpeg.TABLE).exists():
        return ct_ich_jpeg.sites(data, out, on_progress)
    labels = read_slices(file_named(data, TABLE, f"{_TITLE} 1.3.1"))
    scans, masks = volumes(folder_named(data, "ct_scans", _TITLE)), volumes(folder_named(data, "masks", _TITLE))
    require_all(labels, scans, data / "ct_scans", ".nii")
    require_all(labels, masks, data / "masks", ".nii")
    home = out / "ct-ich"
    rows: list[dict[str, object]] = []
    series: list[Path] = []
    for done, (name, slices) in enumerate(labels.items(), start=1):
        series.append(home / "dicom" / kept_as(name, scans[name]))
        if write_series(scans[name], origin_of(name), series[-1]) != len(slices):
            raise DataError(f"{scans[name]}: has not the {len(slices)} slices that {TABLE} tells of; fetch both anew.")
        bleeds = any(values[0] for values in slices.values())
        mask = home / "masks" / f"{kept_as(name, masks[name], scans[name])}.nii.gz"
        rows += label_rows(name, slices, write_mask(masks[name], scans[name], mask) if bleeds else None)
        on_progress("reading volumes", done, len(labels))
    return [write_site(home, series, rows)]


DATA_SET: Final = DataSet(
    name="ct-ich",
    title=_TITLE,
    download=f"{TABLE}, ct_scans/ and masks/ of version 1.3.1; or {ct_ich_jpeg.TABLE} and Patients_CT/ of 1.3.0",
    source="physionet.org/content/ct-ich",
    licence="1.3.1: PhysioNet restricted health data licence; to 1.3.0: CC BY 4.0",
    size="1.3.1: 75 studies, 2,814 slices; to 1.3.0: 82 studies, 2,501 slices",
    labels="slice, mask",
    sites=sites,
)
