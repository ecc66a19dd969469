"""The unit of everything clinical: one patient's one head CT, ready for the network."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SITE_NAME: Final = "[A-Za-z0-9-]{1,64}"
"""Pattern of a site's name, which travels and may be part of a file's."""

GROUP_NAME: Final = "[a-z0-9-]{1,32}"
"""Pattern of the name of a group in which a study may be counted, such as its scanner; it travels."""


@dataclass(frozen=True)
class Study:
    """One prepared study; arrays may be memory-mapped and are never written to.

    windows:      uint8 (slices, windows, rows, columns), 0 and 255 are the ends of each window
    study_labels: int8 (6,) in the order of `CLASSES`, 0, 1 or -1 (unknown)
    slice_labels: int8 (slices, 6), likewise
    mask_bits:    uint8 (slices, rows // 2, columns // 2), bit j for class j
    mask_known:   bool (slices,), True where `mask_bits` is the truth (also where a negative slice makes it empty)
    slice_mm:     usual distance of two neighbouring slices, NaN where it is unknown
    """

    windows: NDArray[np.uint8]
    study_labels: NDArray[np.int8]
    slice_labels: NDArray[np.int8]
    mask_bits: NDArray[np.uint8]
    mask_known: NDArray[np.bool_]
    slice_mm: float = math.nan

    @property
    def slices(self) -> int:
        return int(self.windows.shape[0])
