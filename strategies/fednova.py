"""FedNova: sites that make more local steps do not pull harder; each one's change is divided by its steps.

Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization,
https://arxiv.org/abs/2007.07481: w <- w + (sum of p·steps) · (sum of p·change / steps), p being a site's share. That is
the paper's form for plain local SGD; for the adaptive optimisers that sites use here it is a heuristic.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import RoundError
from strategies.aggregation import Weighting, shares_of_parts, weighted_sum
from strategies.records import Update
from strategies.round_strategy import RoundStrategy, State


class FedNova(RoundStrategy):
    weighting: Weighting = "studies"

    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        if any(update.steps < 1 for update in updates):
            raise RoundError("fednova: a site says that it made no step; ask it for one, or use another strategy.")
        vectors = [previous, *(update.weights for update in updates)]
        weights = np.empty(previous.shape, np.float64)
        for part, shares in shares_of_parts(updates, self.weighting, self._decoder):
            steps = sum(share * update.steps for share, update in zip(shares, updates, strict=True))
            factors = [share * steps / update.steps for share, update in zip(shares, updates, strict=True)]
            weights[part] = weighted_sum(vectors, [1 - sum(factors), *factors], part)
        return weights, {}
