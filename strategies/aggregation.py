"""The federation's arithmetic: pure functions, float64 inside, a block of parameters at a time.

Beside the sites' weights and the result, working memory is one block, however many sites there are. Sites are summed
in the order in which they are given, so the same order gives the same bytes.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bloodnet_model.errors import RoundError
from strategies.records import Update

Weighting = Annotated[
    Literal["studies", "equal"], Field(description="each site counts by the studies it trained on, or all alike")
]

_BLOCK_VALUES: Final = 1 << 18  # 2 MB of float64: the block of all sites stays in the cache


def average(updates: Sequence[Update], weighting: Weighting) -> NDArray[np.float64]:
    """Mean of the sites' weights (parameters,)."""
    return weighted_sum([update.weights for update in updates], shares(updates, weighting))


def shares(updates: Sequence[Update], weighting: Weighting) -> list[float]:
    """Each site's part in a mean, together one.

    Raises RoundError where no site trained on a study: dividing by their sum would destroy the model.
    """
    weights = [update.studies if weighting == "studies" else 1 for update in updates]
    total = sum(weights)
    if not total > 0:
        raise RoundError("No site trained on any study this round; check the sites' ledgers.")
    return [weight / total for weight in weights]


def weighted_sum(vectors: Sequence[NDArray[np.float32]], factors: Sequence[float]) -> NDArray[np.float64]:
    """Sum of factor times vector (parameters,), in the order given."""
    total = np.zeros(vectors[0].shape, np.float64)
    for block in blocks(vectors):
        for vector, factor in zip(vectors, factors, strict=True):
            total[block] += np.float64(factor) * vector[block]
    return total


def blocks(vectors: Sequence[NDArray[np.float32]]) -> Iterator[slice]:
    """Consecutive parts of the parameters; the more vectors, the shorter."""
    length = max(1, _BLOCK_VALUES // len(vectors))
    for start in range(0, len(vectors[0]), length):
        yield slice(start, start + length)


def ranked_mean(vectors: Sequence[NDArray[np.float32]], left_out: int) -> NDArray[np.float64]:
    """Of each parameter, the mean over the sites without the `left_out` lowest and as many highest values."""
    mean = np.empty(vectors[0].shape, np.float64)
    for block in blocks(vectors):
        ranked = np.sort([vector[block] for vector in vectors], axis=0)  # (sites, parameters of the block)
        mean[block] = ranked[left_out : len(vectors) - left_out].mean(axis=0, dtype=np.float64)
    return mean


def squared_distances(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """(sites, sites): |a - b|² of every two, from their differences.

    Norms and products would cost less, but what they lose where weights are large and near is what is asked for.
    """
    distances = np.zeros((len(vectors), len(vectors)), np.float64)
    for block in blocks(vectors):
        part = np.array([vector[block] for vector in vectors], np.float64)
        for site, row in enumerate(part):
            distances[site, site + 1 :] += np.square(part[site + 1 :] - row).sum(axis=1)
    return distances + distances.T
