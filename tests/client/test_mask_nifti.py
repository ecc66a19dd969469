"""NIfTI masks as programs write them and disks spoil them."""

import gzip
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from client.masks import UnusableMask, read_mask
from client.slice_header import SliceHeader
from tests.client.dicom_factory import COLUMNS, ROWS, make_header, write_mask

SLICES = 4
UNKNOWN = np.full(6, -1, np.int8)
CODES = np.random.default_rng(5).integers(0, 6, (SLICES, ROWS, COLUMNS)).astype(np.uint8)
BITS = np.where(CODES > 0, 1 | 1 << CODES.astype(int), 0).astype(np.uint8)
AFFINE = np.array([[-6.0, 0, 0, 84], [0, -6, 0, 96], [0, 0, 5, 0], [0, 0, 0, 1]])  # of `make_header`, in RAS


def headers(order: list[int] | range = range(SLICES)) -> list[SliceHeader]:
    return [make_header(index) for index in order]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nifti")


def complaint(path: Path) -> tuple[str, str]:
    with pytest.raises(UnusableMask) as caught:
        read_mask(path, headers(), UNKNOWN)
    return caught.value.reason, str(caught.value)


@given(
    order=st.permutations(range(SLICES)),
    axes=st.permutations(range(3)),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    dtype=st.sampled_from(["u1", "<i2", ">i2", "<f4", ">f8"]),
)
def test_neither_the_order_of_slices_nor_that_of_voxels_matters(
    folder: Path, order: list[int], axes: list[int], flips: tuple[bool, ...], dtype: str
) -> None:
    voxels: NDArray[Any] = CODES.transpose(2, 1, 0).astype(dtype)
    affine = AFFINE.copy()
    for axis in np.flatnonzero(flips).tolist():
        voxels = np.flip(voxels, axis)
        affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
        affine[:3, axis] *= -1
    path = write_mask(folder / "m.nii", voxels.transpose(axes), affine[:, [*axes, 3]])
    assert_array_equal(read_mask(path, headers(order), UNKNOWN), BITS[order])


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_file_is_known_by_its_content(tmp_path: Path, name: str, kind: Any) -> None:
    nibabel.save(kind(CODES.transpose(2, 1, 0), AFFINE), tmp_path / name)
    path = (tmp_path / name).rename(tmp_path / "mask.dcm")
    assert_array_equal(read_mask(path, headers(), UNKNOWN), BITS)


def test_a_mask_inside_a_zip(tmp_path: Path) -> None:
    write_mask(tmp_path / "m.nii", CODES.transpose(2, 1, 0), AFFINE)
    with ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.write(tmp_path / "m.nii", "masks/m.nii")
    assert_array_equal(read_mask(tmp_path / "export.zip" / "masks" / "m.nii", headers(), UNKNOWN), BITS)


def test_a_mask_that_does_not_say_where_it_lies(tmp_path: Path) -> None:
    image: Any = nibabel.Nifti1Image(CODES.transpose(2, 1, 0), None)  # type: ignore[no-untyped-call]
    nibabel.save(image, tmp_path / "m.nii")
    reason, text = complaint(tmp_path / "m.nii")
    assert (reason, "does not say where it lies" in text) == ("mask-geometry", True)


def test_a_header_that_asks_for_all_memory(tmp_path: Path) -> None:
    path = write_mask(tmp_path / "m.nii", CODES.transpose(2, 1, 0), AFFINE)
    content = bytearray(path.read_bytes())
    content[42:48] = b"\xff\x7f" * 3  # dim[1:4]
    path.write_bytes(bytes(content))
    reason, text = complaint(path)
    assert (reason, "32767 x 32767 x 32767" in text) == ("mask-size", True)


@pytest.mark.parametrize("affine", [np.full((3, 4), np.nan), np.full((3, 4), 3e38), np.zeros((3, 4))])
def test_an_affine_that_leads_nowhere(tmp_path: Path, affine: NDArray[np.float64]) -> None:
    path = write_mask(tmp_path / "m.nii", CODES.transpose(2, 1, 0), AFFINE)
    content = bytearray(path.read_bytes())
    content[280:328] = affine.astype("<f4").tobytes()  # srow_x, srow_y, srow_z
    path.write_bytes(bytes(content))
    assert complaint(path)[0] == "mask-geometry"


@pytest.mark.parametrize("value", [0.5, 6, -1, 257, np.nan, np.inf])
def test_other_values(tmp_path: Path, value: float) -> None:
    voxels = CODES.transpose(2, 1, 0).astype(np.float32)
    voxels[0, 0, 0] = value
    assert complaint(write_mask(tmp_path / "m.nii", voxels, AFFINE))[0] == "mask-values"


@given(seed=st.integers(0, 2**32 - 1))
def test_damaged_files_are_refused_and_nothing_else(folder: Path, seed: int) -> None:
    content = bytearray(write_mask(folder / "m.nii", CODES.transpose(2, 1, 0), AFFINE).read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, 352, rng.integers(1, 9)):
        content[place] = rng.integers(256)
    damaged = bytes(content[: rng.integers(len(content))] if seed % 5 == 0 else content)
    (folder / "damaged").write_bytes(gzip.compress(damaged, 1) if seed % 2 else damaged)
    with suppress(UnusableMask):
        assert read_mask(folder / "damaged", headers(), UNKNOWN).shape == CODES.shape
