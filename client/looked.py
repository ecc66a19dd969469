"""One study looked at: what the preflight keeps of its pixels once they are let go."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.preprocessing import prepare_volume
from bloodnet_model.settings import PreprocessingSettings
from client.ledger import Entry
from client.preparation import Examined, Remarks, Task, examine
from client.strip import strip
from client.volume import Volume

HISTOGRAM_HU: Final = (-1060.0, 1500.0)
HISTOGRAM_BINS: Final = 128
"""Of 20 HU each."""


@dataclass(frozen=True)
class Picture:
    """A study for the eye: RGB slices side by side, (rows, columns, 3), and how many voxels have which HU, (bins,)."""

    slices: NDArray[np.uint8]
    histogram: NDArray[np.int64]


@dataclass(frozen=True)
class Looked:
    """What `Examined` says, without its arrays; `picture` is None where no pixel could be read."""

    reason: str
    detail: str
    entries: tuple[Entry, ...]
    lines: Remarks
    pixels: str
    slices: int
    picture: Picture | None


def look(task: Task) -> Looked:
    """Read the pixels of one study."""
    return looked_at(examine(task), task.preprocessing)


def looked_at(examined: Examined, preprocessing: PreprocessingSettings) -> Looked:
    """What is kept of a study whose pixels were read."""
    return Looked(
        reason=examined.reason,
        detail=examined.detail,
        entries=examined.entries,
        lines=examined.lines,
        pixels=examined.pixels,
        slices=examined.study.slices if examined.study is not None else 0,
        picture=_picture(examined, preprocessing),
    )


def _picture(examined: Examined, preprocessing: PreprocessingSettings) -> Picture | None:
    volume = examined.volume
    if volume is None or not len(volume.hu):
        return None
    if examined.study is not None:
        return Picture(strip(examined.study.windows, examined.study.mask_bits), _histogram(volume))
    windows = prepare_volume(volume.hu, volume.spacing_mm, preprocessing)
    unmarked = np.zeros((len(windows), preprocessing.rows // 2, preprocessing.columns // 2), np.uint8)
    return Picture(strip(windows, unmarked), _histogram(volume))


def _histogram(volume: Volume) -> NDArray[np.int64]:
    """What lies beyond the ends counts there."""
    low, high = HISTOGRAM_HU
    bins = ((np.clip(volume.hu, low, high - 1) - low) * (HISTOGRAM_BINS / (high - low))).astype(np.intp)
    return np.bincount(bins.ravel(), minlength=HISTOGRAM_BINS)
