"""FedAvgM: FedAvg with momentum at the coordinator, so that rounds pulling to different sides cancel out.

Hsu, Qi and Brown, Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification,
https://arxiv.org/abs/1909.06335: v <- beta·v + mean change, w <- w + rate·v.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from strategies.aggregation import Weighting, average
from strategies.records import Update
from strategies.round_strategy import RoundStrategy, State

_MOMENTUM = "momentum"


class FedAvgM(RoundStrategy):
    server_learning_rate: float = Field(1.0, gt=0, description="of the coordinator's step")
    server_momentum: float = Field(0.9, ge=0, lt=1, description="what is kept of the last step; 0 is FedAvg")
    weighting: Weighting = "studies"

    keeps: ClassVar[frozenset[str]] = frozenset({_MOMENTUM})

    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        change = average(updates, self.weighting, self._decoder) - previous
        momentum = self.server_momentum * state[_MOMENTUM] + change if state else change
        return previous + self.server_learning_rate * momentum, {_MOMENTUM: momentum}
