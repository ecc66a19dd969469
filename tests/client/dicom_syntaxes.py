"""One plane in every transfer syntax that can be written here."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import RLELossless

from tests.client.dicom_factory import write_slice

Encoder = Callable[[NDArray[np.uint16]], bytes]


def _run_lengths(values: NDArray[np.uint16]) -> bytes:
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.Rows, dataset.Columns = values.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SOPInstanceUID = "1.2"
    dataset.PixelData = values.tobytes()
    dataset.compress(RLELossless, generate_instance_uid=False)
    return next(generate_frames(dataset.PixelData, number_of_frames=1))


def _bytes(encoded: Any) -> bytes:
    return bytes(encoded)


LOSSLESS: Final[Mapping[str, Encoder]] = {
    "1.2.840.10008.1.2.5": _run_lengths,
    "1.2.840.10008.1.2.4.57": lambda v: _bytes(
        imagecodecs.jpeg8_encode(v, lossless=True, bitspersample=16, predictor=4)
    ),
    "1.2.840.10008.1.2.4.70": lambda v: _bytes(imagecodecs.jpeg8_encode(v, lossless=True, bitspersample=16)),
    "1.2.840.10008.1.2.4.80": lambda v: _bytes(imagecodecs.jpegls_encode(v)),
    "1.2.840.10008.1.2.4.90": lambda v: _bytes(
        imagecodecs.jpeg2k_encode(v, codecformat="j2k", reversible=True, level=0)
    ),
    "1.2.840.10008.1.2.4.201": lambda v: _bytes(imagecodecs.htj2k_encode(v, reversible=True)),
    "1.2.840.10008.1.2.4.202": lambda v: _bytes(imagecodecs.htj2k_encode(v, reversible=True)),
}
LOSSY: Final[Mapping[str, Encoder]] = {
    "1.2.840.10008.1.2.4.51": lambda v: _bytes(imagecodecs.jpeg8_encode(v, level=100, bitspersample=12)),
    "1.2.840.10008.1.2.4.81": lambda v: _bytes(imagecodecs.jpegls_encode(v, level=2)),
    "1.2.840.10008.1.2.4.91": lambda v: _bytes(imagecodecs.jpeg2k_encode(v, codecformat="j2k", level=90)),
    "1.2.840.10008.1.2.4.203": lambda v: _bytes(imagecodecs.htj2k_encode(v, level=1e-5, reversible=False)),
}


def write_compressed(
    path: Path, hu: NDArray[Any], syntax: str, *, dtype: str = "<i2", intercept: int = -1024, **tags: Any
) -> Path:
    """One file whose pixels, of `dtype` with this intercept, are compressed by the syntax's encoder."""
    stored = (hu - intercept).astype(dtype)
    encode = {**LOSSLESS, **LOSSY}[syntax]
    return write_streams(path, hu, syntax, [encode(stored.view("<u2"))], dtype=dtype, intercept=intercept, **tags)


def write_streams(
    path: Path,
    hu: NDArray[Any],
    syntax: str,
    frames: Sequence[bytes],
    *,
    fragments: int = 1,
    table: bool = True,
    **tags: Any,
) -> Path:
    """One file that holds these streams, each in so many fragments, with or without an offset table."""
    write_slice(path, hu, **tags)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.PixelData = encapsulate(list(frames), fragments_per_frame=fragments, has_bot=table)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    return path
