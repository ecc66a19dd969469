"""Synthetic heads beside real ones: the measures themselves, and that what is drawn stays near what was measured."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bloodnet_model.labels import SUBTYPES
from simulation.phantom import SCANNERS, draw_study
from simulation.phantom.appearance import PERCENTILES, appearance, brain_noise_hu, percentiles_hu
from simulation.synthetic_heads import REAL_PERCENTILES_HU, draw_picture, examine


@pytest.mark.parametrize("sigma_hu", [2.0, 5.0])
def test_noise_is_found_whatever_the_anatomy(sigma_hu: float) -> None:
    rng = np.random.default_rng(0)
    brain = np.full((3, 128, 128), 30.0)
    brain[:, :, 64:] = 37.0  # a border between two tissues
    brain[:, :10] = -1000
    brain[:, 60:64, 60:64] = 1000
    noisy = np.rint(brain + rng.normal(0, sigma_hu, brain.shape)).astype(np.int16)
    assert brain_noise_hu(noisy, 0.9) == pytest.approx(sigma_hu, rel=0.1)
    assert np.isnan(brain_noise_hu(np.full((2, 64, 64), -1000, np.int16), 0.9))


@pytest.mark.slow
def test_blood_and_noise_are_near_those_of_real_scans() -> None:
    seen = [appearance(draw_study(np.random.default_rng([2, k]), SCANNERS[k % 4], 24, 192, True)) for k in range(24)]
    found = percentiles_hu(part for each in seen for part in each.blood_hu.values())
    for share, real, here in list(zip(PERCENTILES, REAL_PERCENTILES_HU, found, strict=True))[
        2:5
    ]:  # few studies say little of the tails
        assert here == pytest.approx(real, abs=8), f"percentile {share}"
    assert 2 < np.median([each.volume_ml for each in seen]) < 16
    for number in range(4):
        assert 2 < np.median([each.noise_hu for each in seen[number::4]]) < 6.5


def test_the_mask_leaves_out_what_looks_like_bone() -> None:
    for number in range(6):
        study = draw_study(np.random.default_rng([5, number]), SCANNERS[1], 16, 128, True)
        assert study.volume_hu[study.voxel_classes > 0].max() < 100


@pytest.mark.slow
def test_table_and_picture(tmp_path: Path) -> None:
    told: list[int] = []
    lines, shown = examine(6, 0, told.append)
    assert told == [1, 2, 3, 4, 5, 6]
    assert len(lines) == len(PERCENTILES) + len(SUBTYPES) + 1 + len(SCANNERS)
    documented = (Path(__file__).parents[2] / "docs" / "synthetic-heads.md").read_text()
    assert all(f"| {line.what} | {line.real} |" in documented for line in lines)
    again, _ = examine(6, 0, told.append)
    assert lines == again
    picture = np.asarray(Image.open(draw_picture(shown, 0, tmp_path / "new")).convert("RGB")).astype(int)
    assert (picture[..., 0] - picture[..., 1] > 100).any()  # an outline
    assert picture.max() == 255
