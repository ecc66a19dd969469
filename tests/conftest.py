"""Scans that tests make for themselves."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings as hypothesis_settings

from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.study import Study
from simulation.phantom import PhantomSettings, write_federation

MakeStudy = Callable[..., Study]
DrawHospitals = Callable[[Path, int], list[Path]]

hypothesis_settings.register_profile("bloodnet", deadline=None)  # a busy machine is no bug
hypothesis_settings.load_profile("bloodnet")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small() -> ModelSettings:
    """The tiny preset on a grid small enough for tests."""
    return model_settings("tiny", preprocessing={"rows": 32, "columns": 24, "spacing_mm": 6.0})


@pytest.fixture
def make_study(small: ModelSettings) -> MakeStudy:
    """`make_study(seed, positive=True, slices=8)`: a noisy study with a bright square on its middle slices."""

    def make(seed: int, positive: bool = True, slices: int = 8) -> Study:
        grid = small.preprocessing
        rng = np.random.default_rng(seed)
        windows = rng.integers(90, 140, (slices, len(grid.windows_hu), grid.rows, grid.columns), dtype=np.uint8)
        bits = np.zeros((slices, grid.rows // 2, grid.columns // 2), np.uint8)
        labels = np.zeros((slices, 6), np.int8)
        if positive:
            middle = slice(slices // 3, slices // 3 + max(1, slices // 3))
            windows[middle, :, 10:18, 8:16] = 230
            bits[middle, 5:9, 4:8] = 0b000101
            labels[middle, 0] = labels[middle, 2] = 1
        return Study(windows, labels.max(0), labels, bits, np.ones(slices, bool))

    return make


@pytest.fixture(scope="session")
def draw_hospitals(tmp_path_factory: pytest.TempPathFactory) -> DrawHospitals:
    """`draw_hospitals(folder, 2)`: so many synthetic hospitals below `folder`, to do with as one likes.

    Three are drawn once for all tests of a process, which takes seconds, and copied.
    """

    @cache
    def drawn() -> list[Path]:
        settings = PhantomSettings(hospitals=3, studies=12, slices=8, matrix=64, seed=5)
        return write_federation(tmp_path_factory.mktemp("drawn") / "hospitals", settings, 1, lambda: None)

    def draw(folder: Path, hospitals: int) -> list[Path]:
        return [Path(shutil.copytree(one, folder / one.name)) for one in drawn()[:hospitals]]

    return draw
