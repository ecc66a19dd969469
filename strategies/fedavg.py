"""FedAvg: the mean of the sites' weights, each site counting by its studies.

McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data,
https://arxiv.org/abs/1602.05629.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strategies.aggregation import Weighting, average
from strategies.records import Update
from strategies.round_strategy import RoundStrategy, State


class FedAvg(RoundStrategy):
    weighting: Weighting = "studies"

    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        return average(updates, self.weighting, self._decoder), {}
