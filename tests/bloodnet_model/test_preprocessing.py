"""From HU to what the network sees."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from bloodnet_model.preprocessing import head_centre, prepare_mask, prepare_volume, resampling_matrix
from bloodnet_model.settings import PreprocessingSettings

SAME_GRID = PreprocessingSettings(spacing_mm=1.0, rows=16, columns=24, windows_hu=((0, 80), (-1000, 1040)))


def head(shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.float32]:
    """(2, rows, columns): air, a skull of three pixels, brain of 40 HU; its second slice is air alone."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    within = [
        ((row - centre[0]) / (radii[0] - thick)) ** 2 + ((column - centre[1]) / (radii[1] - thick)) ** 2 <= 1
        for thick in (0, 3)
    ]
    plane = np.where(within[1], 40.0, np.where(within[0], 1000.0, -1000.0))
    return np.stack([plane, np.full(shape, -1000.0)]).astype(np.float32)


def test_each_window_runs_from_0_to_255_at_its_ends() -> None:
    hu = np.full((1, 16, 24), -3024, np.float32)
    hu[0, 0, :8] = [-10, 0, 20, 40, 60, 80, 300, 9000]
    windows = prepare_volume(hu, (1.0, 1.0), SAME_GRID, centre=(7.5, 11.5))
    assert windows.dtype == np.uint8
    assert windows.shape == (1, 2, 16, 24)
    assert_array_equal(windows[0, 0, 0, :9], [0, 0, 64, 128, 191, 255, 255, 255, 0])
    assert_array_equal(windows[0, 1, 0, :9], [124, 125, 128, 130, 132, 135, 162, 255, 0])


def test_rows_stay_rows_and_slices_stay_slices() -> None:
    hu = np.full((3, 16, 24), -1000, np.float32)
    hu[1, 2, 20] = 100
    windows = prepare_volume(hu, (1.0, 1.0), SAME_GRID, centre=(7.5, 11.5))
    assert_array_equal(np.argwhere(windows[:, 0]), [[1, 2, 20]])


def test_the_head_comes_to_the_middle_and_beyond_the_image_is_air() -> None:
    hu = head((40, 40), centre=(11, 29), radii=(7, 9))
    windows = prepare_volume(hu, (1.0, 1.0), SAME_GRID)
    expected = prepare_volume(head((16, 24), centre=(7.5, 11.5), radii=(7, 9)), (1.0, 1.0), SAME_GRID)
    assert head_centre(hu) == (11, 29)
    # The middle of an even grid lies between two pixels, so the shifted head is interpolated at its edges alone.
    assert (np.abs(windows.astype(int) - expected) > 140).mean() < 0.1
    assert windows[0, 0, 7:9, 11:13].tolist() == [[128, 128], [128, 128]]
    assert_array_equal(prepare_volume(hu[:, :12, :], (1.0, 1.0), SAME_GRID, centre=(11, 29))[0, :, 12:], 0)


def test_spacing_is_taken_by_axis() -> None:
    """The same head sampled twice as finely along the columns."""
    fine = head((16, 24), centre=(7.5, 11.5), radii=(7, 9)).repeat(2, axis=2)
    coarse = prepare_volume(head((16, 24), centre=(7.5, 11.5), radii=(7, 9)), (1.0, 1.0), SAME_GRID)
    windows = prepare_volume(fine, (1.0, 0.5), SAME_GRID)
    inside = np.s_[0, 0, 6:10, 9:15]
    assert_array_equal(windows[inside], coarse[inside])
    assert (np.abs(windows[0, 0].astype(int) - coarse[0, 0]) > 64).mean() < 0.1


def test_shrinking_averages_what_it_drops() -> None:
    """A checkerboard of 0 and 80 HU is 40 HU everywhere once its pixels are smaller than the grid's."""
    settings = PreprocessingSettings(spacing_mm=2.0, rows=8, columns=8, windows_hu=((0, 80),))
    hu = (np.indices((1, 32, 32)).sum(axis=0) % 2 * 80).astype(np.float32)
    assert_allclose(prepare_volume(hu, (0.5, 0.5), settings)[0, 0, 1:-1, 1:-1], 128, atol=1)


def test_the_centre_ignores_a_head_holder_and_small_bright_things() -> None:
    hu = head((60, 60), centre=(20, 30), radii=(15, 12))
    hu[:, 45:47, 5:55] = 140  # a holder below the head, denser than tissue
    hu[0, 1, 10:14] = hu[0, 55, 10:14] = 900  # wires
    assert head_centre(hu) == (20, 30)


def test_the_centre_closes_gaps_over_the_slices() -> None:
    whole = head((40, 40), centre=(20, 15), radii=(12, 10))[0]
    halves = np.stack([whole, whole])
    halves[0, :20] = halves[1, 20:] = -1000
    assert head_centre(halves) == (20, 15)


def test_without_bone_the_middle_of_the_image() -> None:
    assert head_centre(np.full((2, 10, 7), 20, np.float32)) == (4.5, 3.0)


def test_the_volume_is_left_as_it_was() -> None:
    hu = head((40, 40), centre=(20, 20), radii=(15, 12))
    before = hu.copy()
    prepare_volume(hu, (1.0, 1.0), SAME_GRID)
    assert_array_equal(hu, before)


@pytest.mark.parametrize("spacing_mm", [0.45, 1.0, 2.4])
def test_a_ramp_stays_a_ramp(spacing_mm: float) -> None:
    """To a tenth of an input pixel, which a triangle of a few samples allows; the centre lands in the middle."""
    n_in, centre = 200, 88.25
    matrix = resampling_matrix(n_in, spacing_mm, centre, 20, 1.2)
    expected = (np.arange(20) - 9.5) * 1.2
    assert_allclose(matrix @ ((np.arange(n_in) - centre) * spacing_mm), expected, atol=0.1 * spacing_mm)
    assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)


def test_resampling_beyond_the_edge_counts_as_nothing() -> None:
    """Hand-computed: twice as coarse, the triangle's weights are 1/4, 1/2, 1/4."""
    assert_allclose(
        resampling_matrix(4, 1.0, 1.0, 3, 2.0),
        [[0.25, 0, 0, 0], [0.25, 0.5, 0.25, 0], [0, 0, 0.25, 0.5]],
    )


def test_resampling_to_the_same_grid_changes_nothing() -> None:
    assert_array_equal(resampling_matrix(8, 0.7, 3.5, 8, 0.7), np.eye(8))


def test_a_mask_pixel_is_set_where_blood_fills_half_of_it() -> None:
    bits = np.zeros((2, 16, 24), np.uint8)
    bits[0, 4:8, 6:12] = 0b000101
    bits[0, 6:8, 8:10] |= 0b100000
    bits[0, 12, 20] = 0b000011  # a quarter of its pixel
    bits[0, 2:4, 2] = 0b000011  # a half of its pixel
    expected = np.zeros((2, 8, 12), np.uint8)
    expected[0, 2:4, 3:6] = 0b000101
    expected[0, 3, 4] |= 0b100000
    expected[0, 1, 1] = 0b000011
    assert_array_equal(prepare_mask(bits, (1.0, 1.0), (7.5, 11.5), SAME_GRID), expected)


def test_mask_and_image_stay_in_register() -> None:
    """Blood off the centre, in an image of another spacing, lies under its mask."""
    hu = head((120, 100), centre=(50, 45), radii=(40, 35))
    blood = np.s_[0, 60:76, 30:50]
    hu[blood] = 75
    bits = np.zeros(hu.shape, np.uint8)
    bits[blood] = 1
    settings = PreprocessingSettings(spacing_mm=2.0, rows=48, columns=40, windows_hu=((0, 80),))
    centre = head_centre(hu)
    mask = prepare_mask(bits, (1.0, 1.0), centre, settings)[0]
    image = prepare_volume(hu, (1.0, 1.0), settings, centre)[0, 0]
    coarse = image.reshape(24, 2, 20, 2).mean(axis=(1, 3))
    assert mask.sum() == 20  # 16 x 20 mm in pixels of 4 mm
    assert coarse[mask > 0].min() > 170
    assert_array_equal(prepare_mask(bits[:, ::-1], (1.0, 1.0), (119 - centre[0], centre[1]), settings)[0], mask[::-1])
