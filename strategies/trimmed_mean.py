"""Trimmed mean: of each weight, the lowest and highest values are left out before the mean, so outliers have no pull.

Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates,
https://arxiv.org/abs/1803.01498. How many are left out is a count of sites, not a share as there: of four sites, a
share of 0.2 would be none. Sites count alike, for a site that lies would lie about its studies, too.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from strategies.aggregation import ranked_mean
from strategies.records import Update
from strategies.round_strategy import RoundStrategy, State


class TrimmedMean(RoundStrategy):
    faulty_sites: int = Field(1, ge=1, description="sites that may send anything; as many values go at either end")

    @property
    def fewest_sites(self) -> int:
        return 2 * self.faulty_sites + 1

    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        return ranked_mean([update.weights for update in updates], self.faulty_sites), {}
