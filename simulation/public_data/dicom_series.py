"""Volumes that came as something else, written as DICOM series, so that they take the way of a hospital's scans."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from bloodnet_model.files import make_folder
from client.listing import state_of

FORMAT: Final = 1
"""Raised with every change of what is written, so that nothing older passes for it."""
CLIP_HU: Final = (-1024, 3071)
"""What a head can hold; resampling leaves extremes of tens of thousands."""


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


def kept_as(name: str, *sources: Path) -> str:
    """Name under which what is made of these files is kept: another one as soon as one of them is another."""
    states = [(path.name, state_of(path)) for path in sources]
    return f"{name}-{hashlib.sha256(repr((FORMAT, states)).encode()).hexdigest()[:12]}"


def write_slices(hu: NDArray[np.float64], affine: NDArray[np.float64], origin: Origin, out: Path) -> None:
    """Write a volume as a new folder of DICOM files, whole or not at all.

    hu:     (i, j, k), one file for each k
    affine: (4, 4) from voxel to LPS mm; it becomes position, orientation and spacing, so nothing is turned here
    """
    stored = np.clip(np.nan_to_num(np.rint(hu), nan=CLIP_HU[0]), *CLIP_HU).astype(np.int16)
    partial = out.with_name(f".{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(partial)
    for index in range(stored.shape[2]):
        image = _image(stored[:, :, index].T, affine, index, origin)
        image.save_as(partial / f"{index:04d}.dcm", enforce_file_format=True)
    partial.replace(out)


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
