"""CT-ICH to version 1.3.0: pictures in 8 bits of a brain and of a bone window, mapped back to HU as far as that goes.

`Patients_CT/049/brain/12.jpg` shows -20 to 100 HU, `Patients_CT/049/bone/12.jpg` -900 to 2300 HU (12 is the
SliceNumber), `Patients_CT/049/brain/12_HGE_Seg.jpg` marks the blood. Between its ends the brain window gives HU to
about half a unit, JPEG's artefacts aside; beyond them the bone window gives them to about 13. The pictures do not say
how large a pixel is: 250 mm for the whole picture and slices 5 mm apart are assumed.
"""

from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError
from simulation.public_data.ct_ich_table import Slices, label_rows, origin_of, read_slices, require_all
from simulation.public_data.data_set import file_named, folder_named
from simulation.public_data.dicom_series import kept_as, write_slices
from simulation.public_data.nifti_volumes import RAS_TO_LPS, save_mask
from simulation.site_folder import write_site

TABLE: Final = "hemorrhage_diagnosis.csv"
BRAIN_HU: Final = (-20.0, 100.0)
BONE_HU: Final = (-900.0, 2300.0)
_TITLE: Final = "CT-ICH 1.3.0"
_ENDS: Final = (3, 252)
"""Of the brain window, with room for JPEG's artefacts: what is darker or brighter may lie anywhere beyond."""
_PICTURE_MM: Final = 250.0
_SLICE_MM: Final = 5.0
_MARKED: Final = 127


def sites(data: Path, out: Path, on_progress: OnProgress) -> list[Path]:
    """One site. Raises DataError for what is not this data set, or not all of it."""
    labels = read_slices(file_named(data, TABLE, _TITLE))
    patients = {path.name: path for path in folder_named(data, "Patients_CT", _TITLE).iterdir() if path.is_dir()}
    require_all(labels, patients, data / "Patients_CT", "")
    home = out / "ct-ich"
    rows: list[dict[str, object]] = []
    series: list[Path] = []
    for done, (name, slices) in enumerate(labels.items(), start=1):
        kept = kept_as(name, *sorted(patients[name].rglob("*.jpg")))
        series.append(home / "dicom" / kept)
        mask = home / "masks" / f"{kept}.nii.gz" if any(values[0] for values in slices.values()) else None
        if not series[-1].is_dir():
            _write(patients[name], name, slices, series[-1], mask)
        rows += label_rows(name, slices, mask)
        on_progress("reading pictures", done, len(labels))
    return [write_site(home, series, rows)]


def _write(patient: Path, name: str, slices: Slices, series: Path, mask: Path | None) -> None:
    """Write a patient's slices and, if there is blood, the mask."""
    hu = np.stack([_slice_hu(patient, index + 1) for index in slices], axis=-1)  # (columns, rows, slices)
    pixel_mm = _PICTURE_MM / len(hu)
    affine = np.diag([pixel_mm, pixel_mm, _SLICE_MM, 1.0])
    if mask is not None:
        marks = [_marked(patient, index + 1, hu.shape[:2]) for index in slices]
        save_mask(np.stack(marks, axis=-1), RAS_TO_LPS @ affine, mask)
    write_slices(hu, affine, origin_of(name), series)


def _slice_hu(patient: Path, number: int) -> NDArray[np.float64]:
    """(columns, rows)"""
    brain, bone = (_picture(patient / window / f"{number}.jpg") for window in ("brain", "bone"))
    if brain.shape != bone.shape:
        raise DataError(f"{patient}: slice {number} has two sizes in its two windows; fetch both anew.")
    inside = (brain >= _ENDS[0]) & (brain <= _ENDS[1])
    return np.where(inside, _hu(brain, BRAIN_HU), _hu(bone, BONE_HU)).T


def _hu(values: NDArray[np.float64], window_hu: tuple[float, float]) -> NDArray[np.float64]:
    low, high = window_hu
    return low + values / 255 * (high - low)


def _marked(patient: Path, number: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(columns, rows); a slice without blood has no picture of it."""
    path = patient / "brain" / f"{number}_HGE_Seg.jpg"
    return _picture(path).T > _MARKED if path.is_file() else np.zeros(shape, bool)


def _picture(path: Path) -> NDArray[np.float64]:
    """(rows, columns), grey."""
    try:
        values = np.asarray(imagecodecs.jpeg8_decode(path.read_bytes()), float)
    except FileNotFoundError:
        raise DataError(f"{path}: is not there, and {TABLE} tells of it; finish the download.") from None
    except (OSError, ValueError, imagecodecs.Jpeg8Error) as error:
        raise DataError(f"{path}: cannot be read as JPEG ({type(error).__name__}); fetch it anew.") from None
    return values if values.ndim == 2 else values.mean(axis=2)
