"""Distances, gaps, overlaps and changes of thickness, in mm."""

import math
from collections.abc import Sequence

import pytest

from client.slice_distances import remark_on, usual_distance_mm
from client.slice_header import SliceHeader
from tests.client.dicom_factory import make_header


def stack(heights_mm: Sequence[float], thicknesses_mm: Sequence[float | None]) -> list[SliceHeader]:
    pairs = zip(heights_mm, thicknesses_mm, strict=True)
    return [make_header(i, position_mm=(0.0, 0.0, z), thickness_mm=t) for i, (z, t) in enumerate(pairs)]


REGULAR = [5.0 * index for index in range(10)]


def test_a_regular_stack_has_no_remark() -> None:
    assert remark_on(stack(REGULAR, [5.0] * 10)) == ("", "")
    assert remark_on(stack([7.5 * index for index in range(10)], [5.0] * 10)) == ("", ""), "spaced out by plan"
    assert remark_on(stack(REGULAR, [None] * 10)) == ("", "")
    assert remark_on(stack([0.0], [5.0])) == ("", "")
    assert remark_on([]) == ("", "")


def test_a_missing_slice_is_a_gap_with_its_place() -> None:
    assert remark_on(stack([*REGULAR[:4], *REGULAR[5:]], [5.0] * 9)) == ("gap", "gap of 10 mm from 15 mm on")
    assert remark_on(stack([*REGULAR[:4], *REGULAR[5:]], [None] * 9))[0] == "gap"


def test_thick_slices_above_a_thin_base_are_no_gap() -> None:
    heights = [*(2.5 * i for i in range(8)), 21.25, *(26.25 + 5 * i for i in range(8))]
    remark, words = remark_on(stack(heights, [2.5] * 8 + [5.0] * 9))
    assert (remark, words) == ("mixed-thickness", "thickness 2.5 mm in 8, 5 mm in 9 slices")
    del heights[12]
    remark, words = remark_on(stack(heights, [2.5] * 8 + [5.0] * 8))
    assert remark == "gap"
    assert "gap of 10 mm" in words
    assert "thickness" in words


@pytest.mark.parametrize(("distance_mm", "remark"), [(4.9, ""), (2.5, "overlap")])
def test_overlap(distance_mm: float, remark: str) -> None:
    found, words = remark_on(stack([distance_mm * index for index in range(10)], [5.0] * 10))
    assert found == remark
    assert words == ("9 of 9 neighbours overlap by up to 2.5 mm" if remark else "")


def test_tilted_slices_are_measured_along_their_normal() -> None:
    tilted = (1.0, 0.0, 0.0, 0.0, 0.9063, -0.4226)  # 25 degrees; the table moves 5.517 mm for 5 mm along the normal
    slices = [make_header(i, orientation=tilted, position_mm=(0.0, 0.0, 5.517 * i)) for i in range(10)]
    assert remark_on(slices) == ("", "")
    assert usual_distance_mm(slices) == pytest.approx(5.0, abs=1e-3)


def test_the_usual_distance_overlooks_a_missing_slice() -> None:
    assert usual_distance_mm(stack([*REGULAR[:4], *REGULAR[5:]], [2.5] * 9)) == 5.0


def test_a_distance_that_nobody_knows_is_nan() -> None:
    assert math.isnan(usual_distance_mm(stack([0.0], [5.0])))
    assert math.isnan(usual_distance_mm([make_header(i, position_mm=None) for i in range(9)]))
