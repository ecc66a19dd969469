"""FedNova: sites that make more local steps do not pull harder; each one's change is divided by its steps.

Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization,
https://arxiv.org/abs/2007.07481: w <- w + (sum of p·steps) · (sum of p·change / steps), p being a site's share. That is
the paper's form for plain local SGD; for the adaptive optimisers that sites use here it is a heuristic.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import RoundError
from strategies.aggregation import Weighting, shares, weighted_sum
from strategies.records import Update
from strategies.round_strategy import RoundStrategy, State


class FedNova(RoundStrategy):
    weighting: Weighting = "studies"

    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        if any(update.steps < 1 for update in updates):
            raise RoundError("fednova: a site says that it made no step; ask it for one, or use another strategy.")
        parts = shares(updates, self.weighting)
        steps = sum(part * update.steps for part, update in zip(parts, updates, strict=True))
        factors = [part * steps / update.steps for part, update in zip(parts, updates, strict=True)]
        vectors = [previous, *(update.weights for update in updates)]
        return weighted_sum(vectors, [1 - sum(factors), *factors]), {}
