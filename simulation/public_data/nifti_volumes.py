"""NIfTI volumes become DICOM series, so that they take the way that a hospital's scans take.

HU are kept, clipped to what a head can hold (resampling leaves extremes of tens of thousands); the affine becomes
position, orientation and spacing, so nothing is turned or resampled here.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder

SUFFIXES: Final = (".nii", ".nii.gz")
CLIP_HU: Final = (-1024, 3071)
_RAS_TO_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Origin:
    """Whose a volume is: `data_set` and `study` name it, `patient` may have several."""

    data_set: str
    study: str
    patient: str

    def sop_uid(self, index: int) -> str:
        """Of the slice that is `index`-th along the volume's last axis; the same on every machine."""
        return str(generate_uid(entropy_srcs=[self.data_set, self.study, str(index)]))

    @property
    def study_uid(self) -> str:
        """As the data set names it where it does, for then the same scan in two data sets is seen to be one."""
        named = self.study.startswith("ID_")
        return self.study if named else str(generate_uid(entropy_srcs=[self.data_set, self.study]))


def volumes(folder: Path) -> dict[str, Path]:
    """NIfTI files of a folder by name without suffix."""
    files = (path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and path.is_file())
    return {path.name.split(".nii")[0]: path for path in sorted(files)}


def write_series(path: Path, origin: Origin, out: Path) -> int:
    """Write the volume's slices as DICOM files in a new folder `out`; nothing is done where it is there already.

    Returns how many slices there are. Raises DataError, naming the file, for what is no volume of CT.
    """
    if out.is_dir():
        return len(list(out.iterdir()))
    hu, affine = _read(path)
    partial = out.with_name(f".{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(partial)
    for index in range(hu.shape[2]):
        _image(hu[:, :, index].T, affine, index, origin).save_as(partial / f"{index:04d}.dcm", enforce_file_format=True)
    partial.replace(out)
    return len(hu[0, 0])


def write_mask(path: Path, volume: Path, out: Path) -> Path:
    """Write what a mask marks (anything above 0) as 0 and 1 on the volume's grid; raises DataError for another size."""
    image, marked = _load(volume), np.asarray(_load(path).dataobj) > 0
    if marked.shape != image.shape:
        raise DataError(f"{path}: has {marked.shape} voxels and {volume.name} has {image.shape}; fetch both anew.")
    make_folder(out.parent)
    nibabel.save(nibabel.Nifti1Image(marked.astype(np.uint8), image.affine), out)  # type: ignore[no-untyped-call]
    return out


def _load(path: Path) -> Any:
    try:
        return nibabel.load(path)
    except (OSError, ValueError, EOFError, nibabel.filebasedimages.ImageFileError) as error:
        raise DataError(f"{path}: cannot be read as NIfTI ({type(error).__name__}); fetch it anew.") from None


def _read(path: Path) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """HU (i, j, k) and the affine from voxel to LPS mm."""
    image = _load(path)
    try:
        values = np.asarray(image.dataobj)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: breaks off ({type(error).__name__}); fetch it anew.") from None
    if values.ndim != 3:
        raise DataError(f"{path}: has {values.ndim} axes, not 3; it is no head CT of this data set.")
    hu = np.clip(np.nan_to_num(np.rint(values), nan=CLIP_HU[0]), *CLIP_HU).astype(np.int16)
    return hu, _RAS_TO_LPS @ image.affine


def _image(plane: NDArray[np.int16], affine: NDArray[np.float64], index: int, origin: Origin) -> Dataset:
    """One slice: DICOM's columns run along the volume's first axis, its rows along the second (PS3.3 C.7.6.2)."""
    steps_mm = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = affine[:3, :3] / steps_mm
    image = Dataset()
    for name, value in {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": origin.sop_uid(index),
        "SeriesInstanceUID": generate_uid(entropy_srcs=[origin.data_set, origin.study, "series"]),
        "PatientID": origin.patient,
        "PatientName": "",
        "Modality": "CT",
        "Manufacturer": "",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SeriesDescription": f"{origin.data_set} volume",
        "InstanceNumber": index + 1,
        "SliceThickness": _decimal(steps_mm[2]),
        "ImagePositionPatient": [_decimal(x) for x in (affine @ [0, 0, index, 1])[:3]],
        "ImageOrientationPatient": [_decimal(x) for x in (*cosines[:, 0], *cosines[:, 1])],
        "PixelSpacing": [_decimal(steps_mm[1]), _decimal(steps_mm[0])],
        "Rows": plane.shape[0],
        "Columns": plane.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleIntercept": 0,
        "RescaleSlope": 1,
        "PixelData": np.ascontiguousarray(plane, "<i2").tobytes(),
    }.items():
        setattr(image, name, value)
    image.add(DataElement(0x0020000D, "UI", origin.study_uid, validation_mode=IGNORE))  # RSNA's are no valid UIDs
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def _decimal(value: float) -> str:
    """A DS of at most 16 characters (PS3.5 6.2)."""
    return f"{value:.10g}"[:16] if abs(value) >= 1e-4 else "0"
