"""A hospital's files, made small: DICOM slices of a head, series of them, whole site folders, bare headers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from bloodnet_model.labels import CLASSES
from client.dicom import PixelLayout, SliceHeader
from client.geometry import STANDARD_AXIAL

SLICES: Final = 10
ROWS: Final = 32
COLUMNS: Final = 28
SPACING_MM: Final = 6.0


def uid(*parts: int) -> str:
    """UID of a study, of one of its series, or of one of the series' slices (from 1)."""
    return ".".join(["1.2.826.0.1.3680043.10", *map(str, parts)])


def head_hu(study: int = 1) -> NDArray[np.float32]:
    """(10, 32, 28) HU of a head in the standard display; a bright spot at the patient's left front marks its turn.

    Heads of studies after the first have a mark each that tells them apart.
    """
    row, column = np.mgrid[:ROWS, :COLUMNS]
    radius = np.hypot((row - 15.5) / 14, (column - 13.5) / 11)
    plane = np.where(radius < 0.85, 30.0, np.where(radius < 1, 900.0, -1000.0))
    volume = np.repeat(plane[None], SLICES, axis=0)
    volume[:, 8:11, 17:20] = 70  # the patient's left is the image's right
    if study > 1:
        volume[:, 14 + study // 8 % 8, 10 + study % 8] += 20
    volume += np.arange(SLICES)[:, None, None]  # every slice can be told from its neighbours
    return volume.astype(np.float32)


def write_slice(
    path: Path,
    hu: NDArray[Any],
    *,
    index: int = 0,
    study: int = 1,
    series: int = 1,
    patient: str = "P1",
    dtype: str = "<i2",
    intercept: int = -1024,
    syntax: str = ExplicitVRLittleEndian,
    meta: bool = True,
    **tags: Any,
) -> Path:
    """One file, stored as `dtype`, `intercept` and `syntax` say; `tags` replace its tags, None leaves one out."""
    stored = (hu - intercept).astype(dtype)
    known: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": uid(study, series, index + 1),
        "StudyInstanceUID": uid(study),
        "SeriesInstanceUID": uid(study, series),
        "PatientID": patient,
        "AccessionNumber": f"A{study}",
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SeriesDescription": "Head 5mm",
        "ConvolutionKernel": "STANDARD",
        "SliceThickness": 5,
        "InstanceNumber": index + 1,
        "ImagePositionPatient": [-84, -96, 5 * index],
        "ImageOrientationPatient": list(STANDARD_AXIAL),
        "PixelSpacing": [SPACING_MM, SPACING_MM],
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": int("i" in dtype),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "RescaleSlope": 1,
        "RescaleIntercept": intercept,
        "PixelData": stored.tobytes(),
        **tags,
    }
    dataset = pydicom.Dataset()
    for name, value in known.items():
        if value is not None:
            setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not meta:
        dataset.save_as(path, implicit_vr=True, little_endian=True)
        return path
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path, hu: NDArray[Any] | None = None, *, study: int = 1, series: int = 1, **keywords: Any
) -> list[Path]:
    """The slices of `hu`, of the study's `head_hu` unless given, in files whose names run against their order."""
    return [
        write_slice(folder / f"{series}-{99 - index}.dcm", plane, index=index, study=study, series=series, **keywords)
        for index, plane in enumerate(head_hu(study) if hu is None else hu)
    ]


def write_labels(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A labels file with the six classes and just the other columns that its rows use."""
    columns = list(dict.fromkeys([*CLASSES, *(name for row in rows for name in row)]))
    lines = [",".join(columns), *(",".join(str(row.get(name, "")) for name in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_site(folder: Path, any_by_study: Mapping[int, int | str], **settings: Any) -> Path:
    """A site folder: one series and one label row for each study, each study of a patient of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for study in any_by_study:
        write_series(folder / "dicom" / str(study), study=study, patient=f"P{study}")
    write_labels(folder / "labels.csv", [{"study_instance_uid": uid(k), "any": v} for k, v in any_by_study.items()])
    lines = {"name": "st-elsewhere", "dicom": "[dicom]", **settings}
    (folder / "site.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()), encoding="utf-8")
    return folder


def write_mask(path: Path, codes: NDArray[Any], affine: NDArray[np.float64] | None = None) -> Path:
    """A NIfTI file of codes (columns, rows, slices) from voxel to RAS mm; on the grid of `write_series` if not said."""
    if affine is None:
        affine = np.diag([-SPACING_MM, -SPACING_MM, 5.0, 1.0])
        affine[:3, 3] = (84, 96, 0)
    nibabel.save(nibabel.Nifti1Image(codes, affine), path)  # type: ignore[no-untyped-call]
    return path


def make_header(index: int = 0, *, series: int = 1, **fields: Any) -> SliceHeader:
    """The header of a usable slice, without a file; `fields` replace what it says."""
    known: dict[str, Any] = {
        "path": Path(f"/site/{series}/{index}.dcm"),
        "sop_uid": uid(1, series, index + 1),
        "series_uid": uid(1, series),
        "study_uid": uid(1),
        "patient_id": "P1",
        "accession_number": "A1",
        "modality": "CT",
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "description": "Head",
        "kernel": "STANDARD",
        "contrast_agent": "",
        "thickness_mm": 5.0,
        "instance_number": index + 1,
        "position_mm": (-84.0, -96.0, 5.0 * index),
        "orientation": STANDARD_AXIAL,
        "spacing_mm": (SPACING_MM, SPACING_MM),
        "rows": ROWS,
        "columns": COLUMNS,
        "transfer_syntax": str(ExplicitVRLittleEndian),
        "pixels": PixelLayout(16, 16, True, 1, 1, 1.0, -1024.0, 1000, 2 * ROWS * COLUMNS),
    }
    return SliceHeader(**{**known, **fields})
