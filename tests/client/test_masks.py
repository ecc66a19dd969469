"""NIfTI masks on DICOM slices."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from bloodnet_model.reasons import REASONS
from client.masks import UnusableMask, check_mask, disputed_slices, labels_from_mask, read_mask
from client.slice_header import SliceHeader
from tests.client.dicom_factory import make_header, write_mask

UNKNOWN = np.full(6, -1, np.int8)
ROWS, COLUMNS, SLICES = 4, 3, 5
TILTED = (1.0, 0.0, 0.0, 0.0, 0.9483237, -0.3173047)
CODES = np.random.default_rng(1).integers(0, 6, (SLICES, ROWS, COLUMNS)).astype(np.uint8)


def headers(orientation: tuple[float, ...] = (1.0, 0, 0, 0, 1, 0)) -> list[SliceHeader]:
    """Slices of 4 x 3 pixels, 2 mm between rows and 3 mm between columns, 5 mm apart along the table."""
    return [
        make_header(
            index,
            rows=ROWS,
            columns=COLUMNS,
            spacing_mm=(2.0, 3.0),
            orientation=orientation,
            position_mm=(-10.0, 20.0, 5.0 * index + 7),
        )
        for index in range(SLICES)
    ]


def affine_of(slices: list[SliceHeader]) -> NDArray[np.float64]:
    """From (column, row, slice) of the DICOM stack to RAS mm, as a converter writes it for sheared stacks too."""
    first = slices[0]
    assert first.orientation
    assert first.position_mm
    assert slices[1].position_mm
    affine = np.eye(4)
    affine[:3, 0] = 3.0 * np.array(first.orientation[:3])
    affine[:3, 1] = 2.0 * np.array(first.orientation[3:])
    affine[:3, 2] = np.subtract(slices[1].position_mm, first.position_mm)
    affine[:3, 3] = first.position_mm
    return np.diag([-1, -1, 1, 1]) @ affine


def bits(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(codes > 0, 1 | 1 << codes.astype(int), 0).astype(np.uint8)


@pytest.mark.parametrize("orientation", [(1.0, 0, 0, 0, 1, 0), (-1.0, 0, 0, 0, -1, 0), TILTED])
def test_a_mask_in_any_order_of_axes_and_directions(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    slices = headers(orientation)
    stored = CODES.transpose(2, 1, 0)  # (column, row, slice)
    affine = affine_of(slices)
    for flips in np.ndindex(2, 2, 2):
        turned, placed = stored, affine.copy()
        for axis in np.flatnonzero(flips).tolist():
            turned = np.flip(turned, axis)
            placed[:3, 3] += placed[:3, axis] * (stored.shape[axis] - 1)
            placed[:3, axis] *= -1
        for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2)):
            path = write_mask(tmp_path / "m.nii.gz", turned.transpose(order), placed[:, [*order, 3]])
            assert_array_equal(read_mask(path, slices, UNKNOWN), bits(CODES))


def test_only_the_slices_that_were_read_are_taken(tmp_path: Path) -> None:
    path = write_mask(tmp_path / "m.nii", CODES.transpose(2, 1, 0), affine_of(headers()))
    assert_array_equal(read_mask(path, [headers()[1], headers()[4]], UNKNOWN), bits(CODES[[1, 4]]))


def reason_of(path: Path, slices: list[SliceHeader]) -> str:
    with pytest.raises(UnusableMask) as caught:
        read_mask(path, slices, UNKNOWN)
    assert caught.value.reason in REASONS
    return caught.value.reason


def test_masks_that_do_not_fit(tmp_path: Path) -> None:
    slices, stored, path = headers(), CODES.transpose(2, 1, 0), tmp_path / "m.nii"
    affine = affine_of(slices)
    assert reason_of(tmp_path / "gone.nii", slices) == "mask-missing"
    path.write_bytes(b"no image")
    assert reason_of(path, slices) == "mask-unreadable"
    assert reason_of(write_mask(path, stored + 7, affine), slices) == "mask-values"
    assert reason_of(write_mask(path, np.where(stored > 0, 0.5, 0.0), affine), slices) == "mask-values"
    assert reason_of(write_mask(path, stored[:, :-1], affine), slices) == "mask-size"
    assert reason_of(write_mask(path, np.stack([stored, stored], axis=-1), affine), slices) == "mask-size"
    assert reason_of(write_mask(path, stored[:, :, :-1], affine), slices) == "mask-size"
    assert reason_of(write_mask(path, stored, affine + np.diag([0, 0, 0.6, 0])), slices) == "mask-geometry"
    shifted = affine.copy()
    shifted[0, 3] += 1.4
    assert reason_of(write_mask(path, stored, shifted), slices) == "mask-geometry"
    unplaced = [make_header(index, position_mm=None) for index in range(SLICES)]
    assert reason_of(write_mask(path, stored, affine), unplaced) == "mask-geometry"


def test_a_mask_of_thicker_slices_is_another_grid(tmp_path: Path) -> None:
    """Two slices of 0.8 mm to one of the mask: each lies near enough, but neither has a mask of its own."""
    thin = [
        make_header(index, rows=ROWS, columns=COLUMNS, spacing_mm=(2.0, 3.0), position_mm=(-10.0, 20.0, 0.8 * index))
        for index in range(6)
    ]
    affine = affine_of(thin)
    affine[:3, 2] *= 2
    affine[2, 3] += 0.4
    assert reason_of(write_mask(tmp_path / "m.nii", CODES.transpose(2, 1, 0), affine), thin) == "mask-geometry"


def test_a_shift_within_the_tolerance_is_forgiven(tmp_path: Path) -> None:
    affine = affine_of(headers())
    affine[:3, 3] += 0.4
    path = write_mask(tmp_path / "m.nii", CODES.transpose(2, 1, 0)[..., None], affine)
    assert_array_equal(read_mask(path, headers(), UNKNOWN), bits(CODES))


@pytest.mark.parametrize(
    ("study", "bit"),
    [
        ([1, 0, 0, 0, 0, 1], 0b100001),  # the single positive subtype
        ([1, 1, -1, -1, -1, -1], 0b000011),
        ([1, 0, 1, 0, 0, 1], 0b000001),  # two: nobody knows which
        ([1, -1, -1, -1, -1, -1], 0b000001),
    ],
)
def test_a_binary_mask_takes_its_kind_from_the_study(tmp_path: Path, study: list[int], bit: int) -> None:
    binary = (CODES > 2).astype(np.uint8)
    path = write_mask(tmp_path / "m.nii", binary.transpose(2, 1, 0), affine_of(headers()))
    assert_array_equal(read_mask(path, headers(), np.array(study, np.int8)), binary * bit)


def drawn(*pixels: int, bit: int = 0b000101) -> NDArray[np.uint8]:
    """Slices of 4 x 4 with so many pixels each."""
    return np.array([[bit] * count + [0] * (16 - count) for count in pixels], np.uint8).reshape(-1, 4, 4)


def test_slice_labels_from_a_mask() -> None:
    """Blood of four pixels is positive, less is unknown, none is negative."""
    labels = labels_from_mask(drawn(9, 9, 0), drawn(4, 3, 0), UNKNOWN)
    assert_array_equal(labels, [[1, 0, 1, 0, 0, 0], [-1, 0, -1, 0, 0, 0], [0] * 6])


def test_blood_of_an_unnamed_kind_leaves_the_subtypes_unknown() -> None:
    labels = labels_from_mask(drawn(9, 0, bit=1), drawn(4, 0, bit=1), UNKNOWN)
    assert_array_equal(labels, [[1, -1, -1, -1, -1, -1], [0] * 6])


def test_a_class_that_the_mask_leaves_out_is_unknown() -> None:
    labels = labels_from_mask(drawn(9, 0), drawn(4, 0), np.array([1, 0, 1, 0, 0, 1], np.int8))
    assert_array_equal(labels, [[1, 0, 1, 0, 0, -1], [0, 0, 0, 0, 0, -1]])


@pytest.mark.parametrize(
    ("bits_drawn", "given", "disputed", "detail"),
    [
        (drawn(3, 0), [[1, -1, 1, 0, 0, 0], [0] * 6], [False, False], ""),
        (drawn(3, 0), [[-1] * 6, [-1] * 6], [False, False], ""),
        (drawn(3, 0, bit=1), [[1, 0, 1, 0, 0, 0], [0] * 6], [False, False], ""),  # it does not say which kind
        (
            drawn(3, 1, 0, 0),
            [[0] * 6, [0] * 6, [1, -1, -1, -1, -1, 1], [0] * 6],
            [True, True, True, False],
            "the mask shows blood on 2 slices labelled negative, the labels say blood on 1 slice whose mask is empty",
        ),
        (
            drawn(3, 3),
            [[1, 0, 0, 0, 0, 1], [1, 0, 1, 0, 0, 1]],
            [True, False],
            "the mask shows another kind of blood than the labels on 1 slice",
        ),
    ],
)
def test_slices_on_which_labels_and_mask_disagree(
    bits_drawn: NDArray[np.uint8], given: list[list[int]], disputed: list[bool], detail: str
) -> None:
    where, said = disputed_slices(bits_drawn, np.array(given, np.int8))
    assert_array_equal(where, disputed)
    assert said == detail


def test_a_mask_may_not_contradict_its_study() -> None:
    check_mask(drawn(3, 0), np.array([1, 0, 1, 0, 0, 1], np.int8))
    check_mask(drawn(0, 0), np.array([0] * 6, np.int8))
    for bits_drawn, study in ((drawn(3), [1, 1, 0, 0, 0, 0]), (drawn(3), [0] * 6), (drawn(0), [1, -1, 1, 0, 0, 0])):
        with pytest.raises(UnusableMask) as caught:
            check_mask(bits_drawn, np.array(study, np.int8))
        assert caught.value.reason == "mask-contradicts"
