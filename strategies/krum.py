"""Krum: the update with the nearest neighbours, or the mean of the best few (multi-Krum); the rest is left out.

Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, NeurIPS 2017,
https://papers.nips.cc/paper/6617-machine-learning-with-adversaries-byzantine-tolerant-gradient-descent. A site's score
is the sum of the squared distances to its n - f - 2 nearest, n sites of which f may be faulty; 2f + 2 < n. Flower's
class takes one neighbour where there are too few sites, and distances from float32 norms.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from strategies.aggregation import squared_distances, weighted_sum
from strategies.records import Update
from strategies.round_strategy import RoundStrategy, State


class Krum(RoundStrategy):
    faulty_sites: int = Field(1, ge=0, description="sites that may send anything")
    selected_sites: int = Field(1, ge=1, description="best updates whose mean is taken; more than 1 is multi-Krum")

    @property
    def fewest_sites(self) -> int:
        return max(2 * self.faulty_sites + 3, self.faulty_sites + self.selected_sites)

    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        vectors = [update.weights for update in updates]
        best = np.argsort(scores(squared_distances(vectors), self.faulty_sites), kind="stable")[: self.selected_sites]
        chosen = [vectors[site] for site in sorted(best)]
        return weighted_sum(chosen, [1 / len(chosen)] * len(chosen)), {}


def scores(distances: NDArray[np.float64], faulty_sites: int) -> NDArray[np.float64]:
    """(sites,): of squared distances (sites, sites), each site's sum to its nearest; low is well among the others."""
    nearest = len(distances) - faulty_sites - 2
    others = np.sort(distances, axis=1)[:, 1:]  # without the 0 to itself
    return np.asarray(others[:, :nearest].sum(axis=1))
