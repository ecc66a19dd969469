"""What FedAdam and FedYogi share: a step of its own size for every parameter, after Reddi et al., algorithm 2.

Adaptive Federated Optimization, https://arxiv.org/abs/2003.00295: m <- beta1·m + (1 - beta1)·change,
w <- w + rate·m / (sqrt(v) + tau), where v follows the squared changes, each in its own way. As there, m starts at 0, v
at tau², and nothing is corrected for that start; Flower's classes start v at 0, and its FedAdam corrects for it.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from strategies.aggregation import Weighting, average
from strategies.records import Update
from strategies.round_strategy import RoundStrategy, State

FIRST: Final = "first-moment"
SECOND: Final = "second-moment"


class Adaptive(RoundStrategy):
    server_learning_rate: float = Field(0.01, gt=0, description="about the largest change of a weight in a round")
    beta_1: float = Field(0.9, ge=0, lt=1, description="what is kept of earlier changes")
    beta_2: float = Field(0.99, ge=0, lt=1, description="what is kept of earlier squared changes")
    tau: float = Field(1e-3, gt=0, description="changes far below it get no larger step")
    weighting: Weighting = "studies"

    keeps: ClassVar[frozenset[str]] = frozenset({FIRST, SECOND})

    @abstractmethod
    def follow(self, second: NDArray[np.float64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """The next second moment, of the last and this round's squared changes (parameters,)."""

    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        change = average(updates, self.weighting, self._decoder) - previous
        first = (self.beta_1 * state[FIRST] if state else 0.0) + (1 - self.beta_1) * change
        second = self.follow(state[SECOND] if state else np.full_like(change, self.tau**2), np.square(change))
        step = self.server_learning_rate * first / (np.sqrt(second) + self.tau)
        return previous + step, {FIRST: first, SECOND: second}
