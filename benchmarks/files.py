"""CT files for the benchmarks: headers as long as a scanner writes them, pixels with the noise of a scan."""

from pathlib import Path
from typing import Final

import numpy as np
from pydicom import dcmread

from tests.client.dicom_factory import write_slice

_ROW, _COLUMN = np.mgrid[:512, :512]
_RADIUS = np.hypot((_ROW - 255) / 200, (_COLUMN - 255) / 160)
_NOISE = np.random.default_rng(0).normal(0, 6, (512, 512))
PLANE_HU: Final = np.where(_RADIUS < 0.92, 30.0, np.where(_RADIUS < 1, 900.0, -1000.0)).round() + _NOISE.round()

_OTHER_ELEMENTS: Final = 90
"""Of acquisition, patient and maker, which a scan has to pass over."""


def series(folder: Path, slices: int) -> list[Path]:
    """That many slices of one head, each a file."""
    return [_with_more_elements(write_slice(folder / f"{i}.dcm", PLANE_HU, index=i)) for i in range(slices)]


def _with_more_elements(path: Path) -> Path:
    dataset = dcmread(path)
    block = dataset.private_block(0x0019, "SCANNER", create=True)
    for element in range(_OTHER_ELEMENTS):
        block.add_new(element, "LO", f"value {element}")
    dataset.save_as(path)
    return path
