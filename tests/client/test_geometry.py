"""Planes in the patient."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from client.geometry import STANDARD_AXIAL, Display, degrees_from_axial, height_mm, normal, orientation_of
from tests.client.dicom_factory import make_header

TILTED = (1.0, 0.0, 0.0, 0.0, 0.9483237, -0.3173047)  # 18.5 degrees, as a GE scanner writes it
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def test_normal_points_to_the_head_whatever_way_the_rows_run() -> None:
    assert normal(STANDARD_AXIAL) == (0, 0, 1)
    assert normal((1, 0, 0, 0, -1, 0)) == (0, 0, 1)
    assert normal(TILTED) == pytest.approx((0, 0.3173047, 0.9483237))


def test_angle_from_axial() -> None:
    assert degrees_from_axial(STANDARD_AXIAL) == 0
    assert degrees_from_axial(TILTED) == pytest.approx(18.5, abs=0.01)
    assert degrees_from_axial(CORONAL) == pytest.approx(90)
    assert degrees_from_axial((1, 0, 0, 1, 0, 0)) == pytest.approx(90), "a degenerate orientation is not axial"


def test_height_is_measured_along_the_normal() -> None:
    header = make_header(position_mm=(5.0, 7.0, 10.0), orientation=TILTED)
    assert height_mm(header, TILTED) == pytest.approx(7 * 0.3173047 + 10 * 0.9483237)
    assert height_mm(make_header(position_mm=None), TILTED) is None


def test_only_a_file_without_geometry_that_says_axial_is_taken_for_it() -> None:
    assert orientation_of(make_header(orientation=None, position_mm=None)) == STANDARD_AXIAL
    assert orientation_of(make_header(orientation=None)) is None
    assert orientation_of(make_header(orientation=None, position_mm=None, image_type=("ORIGINAL",))) is None


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (STANDARD_AXIAL, [[1, 2, 3], [4, 5, 6]]),
        ((-1, 0, 0, 0, 1, 0), [[3, 2, 1], [6, 5, 4]]),  # columns run to the right
        ((1, 0, 0, 0, -1, 0), [[4, 5, 6], [1, 2, 3]]),  # rows run to anterior
        ((-1, 0, 0, 0, -1, 0), [[6, 5, 4], [3, 2, 1]]),
        ((0, 1, 0, 1, 0, 0), [[1, 4], [2, 5], [3, 6]]),  # columns run to posterior, rows to the left
        ((0, -1, 0, 1, 0, 0), [[4, 1], [5, 2], [6, 3]]),  # columns run to anterior, rows to the left
    ],
)
def test_display_turns_every_way_of_storing_into_one(orientation: tuple[float, ...], stored: list[list[int]]) -> None:
    display = Display.of(orientation)
    assert_array_equal(display.apply(np.array([stored])), [[[1, 2, 3], [4, 5, 6]]])
    between_rows, between_columns = (4.0, 3.0) if display.transpose else (3.0, 4.0)
    assert display.spacing((between_rows, between_columns)) == (3.0, 4.0)
