"""A drawn study as the DICOM files and the NIfTI mask that a hospital would have.

CT Image Storage after PS3.3 A.3, each scanner in the transfer syntax and pixel encoding of its habits, so that a
reader meets explicit and implicit VR, JPEG-LS and RLE, signed and unsigned pixels and four kinds of padding.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import PYDICOM_ROOT_UID, UID, CTImageStorage, generate_uid

from simulation.phantom.head import DrawnStudy
from simulation.phantom.scanner import JPEG_LS, RLE, ScannerHabits, StorageHabits

UID_ROOT: Final = f"{PYDICOM_ROOT_UID}77."
_ENCODERS: Final = {JPEG_LS: "pyjpegls", RLE: "pylibjpeg"}  # the fastest plugin for each
_DATE, _TIME = "20200101", "120000"


@dataclass(frozen=True)
class Identity:
    """Who was scanned and, from `names` alone, every UID of the study: equal names give equal UIDs."""

    patient_id: str
    institution: str
    names: tuple[str, ...]

    def uid(self, *names: str) -> UID:
        return generate_uid(UID_ROOT, entropy_srcs=["\x1f".join((*self.names, *names))])

    @property
    def study_uid(self) -> UID:
        return self.uid("study")


def write_dicom(
    folder: Path, study: DrawnStudy, habits: ScannerHabits, identity: Identity, rng: np.random.Generator
) -> None:
    """Write every image of a study into `folder`, under file names whose order means nothing."""
    images = list(_images(study, habits, identity))
    for dataset_and_pixels, number in zip(images, rng.permutation(len(images)).tolist(), strict=True):
        _write_image(folder / f"IM{number + 1:05d}.dcm", *dataset_and_pixels, habits.storage)


def _images(
    study: DrawnStudy, habits: ScannerHabits, identity: Identity
) -> Iterator[tuple[Dataset, NDArray[np.int16]]]:
    """(header, HU) of the localizer, where the scanner makes one, and of every slice from the lowest up."""
    if habits.storage.localizer:
        yield _localizer(study, habits, identity)
    header = _series_header(study, habits, identity, "axial", number=2)
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.ImageOrientationPatient = [_decimal(cosine) for cosine in study.stack.orientation]
    for index, slice_hu in enumerate(study.volume_hu):
        image = Dataset()
        image.update(header)  # shares the elements, which is safe: none of those set below is among them
        image.SOPInstanceUID = identity.uid("axial", str(index))
        image.InstanceNumber = index + 1
        image.ImagePositionPatient = [_decimal(part) for part in study.stack.position_mm(index)]
        image.SliceLocation = _decimal(index * study.slice_step_mm)
        yield image, slice_hu


def _series_header(study: DrawnStudy, habits: ScannerHabits, identity: Identity, series: str, number: int) -> Dataset:
    """What all images of one series share."""
    header = Dataset()
    _add_patient_and_study(header, identity)
    _add_equipment(header, habits)
    _add_pixel_description(header, habits.storage, study.stack.matrix)
    header.SeriesInstanceUID = identity.uid("series", series)
    header.SeriesNumber = number
    header.SeriesDescription = f"HEAD {series.upper()}"
    header.FrameOfReferenceUID = identity.uid("frame")
    header.PositionReferenceIndicator = "OM"
    header.AcquisitionNumber = number
    header.PatientPosition = "HFS"
    header.SliceThickness = _decimal(study.stack.thickness_mm)
    header.GantryDetectorTilt = _decimal(study.tilt_degrees)
    header.PixelSpacing = [_decimal(step) for step in study.spacing_mm]
    return header


def _add_patient_and_study(header: Dataset, identity: Identity) -> None:
    header.SpecificCharacterSet = "ISO_IR 100"
    header.PatientID = identity.patient_id
    header.PatientName = f"Synthetic^{identity.patient_id}"
    header.PatientBirthDate = ""
    header.PatientSex = ""
    header.StudyInstanceUID = identity.study_uid
    header.StudyID = ""
    header.AccessionNumber = ""
    header.ReferringPhysicianName = ""
    header.StudyDate = header.SeriesDate = header.ContentDate = _DATE
    header.StudyTime = header.SeriesTime = header.ContentTime = _TIME
    header.InstitutionName = identity.institution


def _add_equipment(header: Dataset, habits: ScannerHabits) -> None:
    header.SOPClassUID = CTImageStorage
    header.Modality = "CT"
    header.Manufacturer = habits.manufacturer
    header.ManufacturerModelName = habits.model
    header.ConvolutionKernel = habits.kernel
    header.KVP = habits.kvp
    header.BodyPartExamined = "HEAD"


def _add_pixel_description(header: Dataset, storage: StorageHabits, matrix: int) -> None:
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.Rows = header.Columns = matrix
    header.BitsAllocated = 16
    header.BitsStored = storage.bits_stored
    header.HighBit = storage.bits_stored - 1
    header.PixelRepresentation = int(storage.signed)
    header.add_new("PixelPaddingValue", "SS" if storage.padding_spelling < 0 else "US", storage.padding_spelling)
    header.RescaleIntercept = storage.intercept_hu
    header.RescaleSlope = 1
    header.RescaleType = "HU"
    header.WindowCenter = 40
    header.WindowWidth = 80


def _localizer(study: DrawnStudy, habits: ScannerHabits, identity: Identity) -> tuple[Dataset, NDArray[np.int16]]:
    """A lateral scout: the mean HU along the left-right axis, head up, face to the left."""
    stack = study.stack
    rows_a_slice = max(1, round(stack.slice_step_mm / stack.pixel_mm))
    profile = np.maximum(study.volume_hu, -1000).mean(axis=2)[::-1]  # (slices, front to back), from the top
    image_hu = np.full((stack.matrix, stack.matrix), -1000, np.int16)
    seen = np.repeat(np.rint(profile).astype(np.int16), rows_a_slice, axis=0)[: stack.matrix]
    image_hu[: len(seen)] = seen
    header = _series_header(study, habits, identity, "localizer", number=1)
    header.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    header.SOPInstanceUID = identity.uid("localizer")
    header.InstanceNumber = 1
    header.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    top_mm = (stack.slices - 1) * stack.table_step_mm
    header.ImagePositionPatient = [0, _decimal(float(stack.from_centre_mm[0])), _decimal(top_mm)]
    return header, image_hu


def _write_image(path: Path, image: Dataset, image_hu: NDArray[np.int16], storage: StorageHabits) -> None:
    """Write one image in the scanner's encoding; the values read back are exactly `image_hu`."""
    stored = (image_hu - storage.intercept_hu).astype("<i2" if storage.signed else "<u2")
    image.file_meta = FileMetaDataset()
    if storage.transfer_syntax in _ENCODERS:
        image.compress(
            storage.transfer_syntax,
            stored,
            encoding_plugin=_ENCODERS[storage.transfer_syntax],
            generate_instance_uid=False,
        )
    else:
        image.file_meta.TransferSyntaxUID = UID(storage.transfer_syntax)
        image.add_new("PixelData", "OW", stored.tobytes())
    dcmwrite(path, image, enforce_file_format=True)


def _decimal(value: float) -> str:
    """A decimal string (VR DS), which may not be longer than 16 bytes."""
    return f"{value:.8g}"


def write_mask(path: Path, study: DrawnStudy) -> None:
    """Write the voxel classes as gzipped NIfTI in the BHSD convention (1 epidural to 5 subdural).

    Axes are (columns, rows, slices); the affine leads to RAS mm and shears with the gantry's tilt, which a
    quaternion cannot say, so only the sform is set. The gzip header holds no time: equal masks are equal bytes.
    """
    classes = np.ascontiguousarray(study.voxel_classes.transpose(2, 1, 0))
    image: Any = nib.Nifti1Image(classes, None)  # type: ignore[no-untyped-call]
    image.set_sform(study.stack.affine_ras(), code="scanner")
    image.header.set_xyzt_units("mm")
    path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
