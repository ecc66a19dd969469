"""A NIfTI mask, laid onto DICOM slices by its affine.

Voxel values: 0 none, 1 epidural, 2 intraparenchymal, 3 intraventricular, 4 subarachnoid, 5 subdural. A mask of only
0 and 1 is taken for one that does not say what kind of blood it shows.
"""

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final

import nibabel
import numpy as np
from numpy.typing import NDArray

from bloodnet_model.labels import CLASSES
from client.mask_grid import Drawing, UnusableMask, aligned
from client.slice_header import SliceHeader

LARGEST_VOXELS: Final = 1 << 28
"""1024 slices of 512 x 512: more than any head, so that a broken header cannot ask for all memory."""

_BITS: Final = np.array([0, *(1 | 1 << code for code in range(1, len(CLASSES)))], np.uint8)
_GZIP: Final = b"\x1f\x8b"
_HEADER_BYTES: Final = {348: nibabel.Nifti1Image, 540: nibabel.Nifti2Image}
"""The first number of a NIfTI file, in either byte order."""


def read_nifti(content: bytes, name: str, slices: Sequence[SliceHeader]) -> Drawing:
    """What the file shows on the slices. Raises UnusableMask."""
    codes, affine = _voxels(content, name)
    on_slices = aligned(codes, affine, slices, name)
    named = bool(codes.max(initial=0) > 1)
    return Drawing(_BITS[on_slices] if named else on_slices, named)


def _voxels(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Class codes (i, j, k) and the affine from voxel to RAS mm."""
    try:
        with _quiet():
            image = _image(content)
        shape: tuple[int, ...] = image.shape
        if len(shape) < 3 or any(length != 1 for length in shape[3:]):  # a fourth axis of length 1 is common
            raise UnusableMask("mask-size", f"{name}: has {len(shape)} axes, not 3")
        if np.prod(shape, dtype=float) > LARGEST_VOXELS:
            raise UnusableMask("mask-size", f"{name}: announces {' x '.join(map(str, shape))} voxels")
        if not image.header["sform_code"] and not image.header["qform_code"]:
            raise UnusableMask("mask-geometry", f"{name}: does not say where it lies (neither sform nor qform)")
        affine = np.asarray(image.affine, np.float64)
        with np.errstate(all="ignore"):
            values = np.asarray(image.dataobj).reshape(shape[:3])
            codes = values.astype(np.uint8)
        exact = bool((codes == values).all()) and codes.max(initial=0) < len(CLASSES)
    except UnusableMask:
        raise
    except Exception as error:  # nibabel, gzip, zlib and numpy each raise their own
        raise UnusableMask("mask-unreadable", f"{name}: unreadable NIfTI ({type(error).__name__})") from None
    if not exact:
        raise UnusableMask("mask-values", f"{name}: holds other values than 0 to {len(CLASSES) - 1}")
    return codes, affine


@contextmanager
def _quiet() -> Iterator[None]:
    """nibabel tells the terminal, without the file's name, what it mends in a header."""
    logger = nibabel.imageglobals.logger
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _image(content: bytes) -> Any:
    """The image by what its first bytes say, whatever the file is called."""
    stream: Any = gzip.GzipFile(fileobj=BytesIO(content)) if content.startswith(_GZIP) else BytesIO(content)
    first = stream.read(4)
    stream.seek(0)
    kinds = (_HEADER_BYTES.get(int.from_bytes(first, order)) for order in ("little", "big"))
    kind = next((kind for kind in kinds if kind is not None), None)
    if kind is None:
        raise ValueError("neither NIfTI-1 nor NIfTI-2")
    return kind.from_stream(stream)
