"""Enhanced multi-frame CT files of the head."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage

from tests.client.dicom_factory import head_hu, write_slice

HEAD_HU = head_hu()
FRAMES = len(HEAD_HU)
BY_GROUP = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "ConvolutionKernel",
    "RescaleSlope",
    "RescaleIntercept",
)


def group(**macros: dict[str, Any]) -> Dataset:
    """One functional group: `PlanePosition={...}` becomes a PlanePositionSequence of one item."""
    found = Dataset()
    for name, values in macros.items():
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        setattr(found, f"{name}Sequence", [item])
    return found


def enhanced(path: Path, *, shared: Dataset | None = None, per_frame: list[Dataset] | None = None, **tags: Any) -> Path:
    """An enhanced CT of the head, its geometry shared where it may be, its rescaling by frame."""
    bare = dict.fromkeys(BY_GROUP, None)
    known = {
        "SOPClassUID": EnhancedCTImageStorage,
        "NumberOfFrames": FRAMES,
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME"],
    }
    stored = np.stack([plane + 1024 - k for k, plane in enumerate(HEAD_HU)]).astype("<u2")
    write_slice(path, HEAD_HU[0], **{**bare, **known, "PixelRepresentation": 0, "PixelData": stored.tobytes(), **tags})
    dataset = pydicom.dcmread(path)
    dataset.SharedFunctionalGroupsSequence = [
        shared
        or group(
            PlaneOrientation={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
            PixelMeasures={"PixelSpacing": [6, 6], "SliceThickness": 5},
            CTReconstruction={"ConvolutionKernel": "H30"},
            CTImageFrameType={"FrameType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]},
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = (
        [
            group(
                PlanePosition={"ImagePositionPatient": [-84, -96, 5 * k]},
                PixelValueTransformation={"RescaleSlope": 1, "RescaleIntercept": k - 1024},
            )
            for k in range(FRAMES)
        ]
        if per_frame is None
        else per_frame
    )
    dataset.save_as(path)
    return path
