"""NIfTI volumes and masks of public data sets: HU as they are, geometry from the affine."""

import gzip
import zlib
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from simulation.public_data.dicom_series import Origin, write_slices

SUFFIXES: Final = (".nii", ".nii.gz")
RAS_TO_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


def volumes(folder: Path) -> dict[str, Path]:
    """NIfTI files of a folder by name without suffix."""
    files = (path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and path.is_file())
    return {path.name.split(".nii")[0]: path for path in sorted(files)}


def write_series(path: Path, origin: Origin, out: Path) -> int:
    """Write the volume as DICOM in a new folder `out`; nothing is done where it is there already.

    Returns how many slices there are. Raises DataError, naming the file, for what is no volume of CT.
    """
    if not out.is_dir():
        write_slices(*_read(path), origin, out)
    return len(list(out.iterdir()))


def write_mask(path: Path, volume: Path, out: Path) -> Path:
    """Write what a mask marks (anything above 0) as 0 and 1 on the volume's grid, unless `out` is there already.

    Raises DataError for a mask that is unreadable or of another size.
    """
    if out.is_file():
        return out
    image, marked = _load(volume), _values(_load(path), path) > 0
    if marked.shape != image.shape:
        raise DataError(f"{path}: has {marked.shape} voxels and {volume.name} has {image.shape}; fetch both anew.")
    return save_mask(marked, image.affine, out)


def save_mask(marked: NDArray[np.bool_], affine: NDArray[np.float64], out: Path) -> Path:
    """Write a mask (i, j, k) as compressed NIfTI, whole or not at all; `affine` is from voxel to RAS mm."""
    make_folder(out.parent)
    image: Any = nibabel.Nifti1Image(marked.astype(np.uint8), affine)  # type: ignore[no-untyped-call]
    write_whole(out, gzip.compress(image.to_bytes(), mtime=0))
    return out


def _load(path: Path) -> Any:
    try:
        return nibabel.load(path)
    except (OSError, ValueError, EOFError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        raise DataError(f"{path}: cannot be read as NIfTI ({type(error).__name__}); fetch it anew.") from None


def _read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """HU (i, j, k) and the affine from voxel to LPS mm."""
    image = _load(path)
    values = _values(image, path)
    if values.ndim != 3 or not np.issubdtype(values.dtype, np.number):
        raise DataError(f"{path}: holds no grey volume of three axes; it is no head CT of this data set.")
    steps_mm = np.linalg.norm(image.affine[:3, :3], axis=0)
    if not (np.isfinite(image.affine).all() and steps_mm.all()):
        raise DataError(f"{path}: does not say how far its voxels lie apart; fetch it anew.")
    return values, RAS_TO_LPS @ image.affine


def _values(image: Any, path: Path) -> NDArray[Any]:
    try:
        return np.asarray(image.dataobj)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: breaks off ({type(error).__name__}); fetch it anew.") from None
