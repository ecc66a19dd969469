"""Heads, and what is none, by HU alone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from client.plausibility import not_a_head

SPACING_MM = (1.0, 1.0)
ROW, COLUMN = np.mgrid[:256, :256] - 127.5


def skull(
    radii_mm: tuple[float, float] = (90, 72), inside_hu: float = 32, thickness_mm: float = 7
) -> NDArray[np.float32]:
    """(12, 256, 256): an elliptic skull with even content, in air."""
    outer = np.hypot(ROW / radii_mm[0], COLUMN / radii_mm[1]) < 1
    inner = np.hypot(ROW / (radii_mm[0] - thickness_mm), COLUMN / (radii_mm[1] - thickness_mm)) < 1
    plane = np.where(inner, inside_hu, np.where(outer, 900, -1000))
    noise = np.random.default_rng(0).normal(0, 4, (12, *plane.shape))
    return (plane + noise).astype(np.float32)


def test_heads_of_all_sizes_and_fillings_pass() -> None:
    assert not_a_head(skull(), SPACING_MM) == ""
    assert not_a_head(skull((40, 36), thickness_mm=3), SPACING_MM) == "", "a premature child"
    assert not_a_head(skull(inside_hu=8), SPACING_MM) == "", "a hydrocephalus"
    assert not_a_head(skull()[:, ::4, ::4], (4.0, 4.0)) == "", "coarse pixels"


def test_a_bleed_a_hole_in_the_skull_and_noise_pass() -> None:
    bleeding = skull()
    bleeding[:, 90:140, 100:150] += 35
    opened = skull()
    opened[:, :, 180:][opened[:, :, 180:] > 300] = 30
    noisy = skull() + np.random.default_rng(1).normal(0, 50, (12, 256, 256)).astype(np.float32)
    assert [not_a_head(hu, SPACING_MM) for hu in (bleeding, opened, noisy)] == ["", "", ""]


@pytest.mark.parametrize(
    ("hu", "why"),
    [
        (skull() + 1024, "HU about 1024 too high: RescaleIntercept is wrong"),
        (skull() - 1024, "HU about 1024 too low: RescaleIntercept is wrong"),
        (skull(inside_hu=-1000), "soft tissue within a skull shows in 0 of 12"),
        (skull(inside_hu=-90), "soft tissue within a skull shows in 0 of 12"),
        (np.clip(skull(), -1000, 60), "soft tissue within a skull shows in 0 of 12"),
        (skull((22, 22)), "soft tissue within a skull shows in 0 of 12"),
        (np.full((3, 64, 64), -1000.0), "soft tissue within a skull shows in 0 of 3"),
        (np.full((3, 64, 64), 40.0), "no air around a body"),
    ],
    ids=["high", "low", "empty", "fat", "no bone", "limb", "air", "tissue"],
)
def test_what_is_no_head_says_why(hu: NDArray[np.floating], why: str) -> None:
    assert not_a_head(hu, SPACING_MM).startswith(why)
