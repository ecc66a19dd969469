"""Median: of each weight the middle one of the sites' values; fewer than half of them cannot move it past the rest.

Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates,
https://arxiv.org/abs/1803.01498. Sites count alike. Of two sites it is their mean.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strategies.aggregation import ranked_mean
from strategies.records import Update
from strategies.round_strategy import RoundStrategy, State


class Median(RoundStrategy):
    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        return ranked_mean([update.weights for update in updates], (len(updates) - 1) // 2), {}
