"""The federation's arithmetic: pure functions, float64 inside, a block of parameters at a time.

Beside the result, memory is one block, however many sites there are: their weights may lie in files
(`strategies.vectors`). Sites are summed in the order in which they are given, so the same order gives the same bytes.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bloodnet_model.errors import RoundError
from strategies.records import Update
from strategies.vectors import Vector

Weighting = Annotated[
    Literal["studies", "equal"], Field(description="each site counts by the studies it trained on, or all alike")
]

_BLOCK_VALUES: Final = 1 << 18
"""Of a block of which one site's part is in memory at a time: 2 MB of float64."""
_TOGETHER_VALUES: Final = 1 << 21
"""Of a block of all sites' parts together: 16 MB of float64; with fewer, 200 sites' files are opened too often."""


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


def weighted_sum(vectors: Sequence[Vector], factors: Sequence[float]) -> NDArray[np.float64]:
    """Sum of factor times vector (parameters,), in the order given."""
    total = np.zeros(vectors[0].shape, np.float64)
    for block in blocks(len(total), _BLOCK_VALUES):
        for vector, factor in zip(vectors, factors, strict=True):
            total[block] += np.float64(factor) * vector[block]
    return total


def blocks(parameters: int, length: int = _BLOCK_VALUES) -> Iterator[slice]:
    """Consecutive parts of so many parameters, each of `length` but the last."""
    for start in range(0, parameters, length):
        yield slice(start, min(start + length, parameters))


def blocks_of_all(vectors: Sequence[Vector]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Consecutive parts, and each vector's (vectors, parameters of the part); the more vectors, the shorter."""
    for block in blocks(len(vectors[0]), max(1, _TOGETHER_VALUES // len(vectors))):
        yield block, np.array([vector[block] for vector in vectors])


def ranked_mean(vectors: Sequence[Vector], left_out: int) -> NDArray[np.float64]:
    """Of each parameter, the mean over the sites without the `left_out` lowest and as many highest values."""
    mean = np.empty(vectors[0].shape, np.float64)
    for block, part in blocks_of_all(vectors):
        part.sort(axis=0)
        mean[block] = part[left_out : len(vectors) - left_out].mean(axis=0, dtype=np.float64)
    return mean


def squared_distances(vectors: Sequence[Vector]) -> NDArray[np.float64]:
    """(sites, sites): |a - b|² of every two, from their differences.

    Norms and products would cost less, but what they lose where weights are large and near is what is asked for.
    """
    distances = np.zeros((len(vectors), len(vectors)), np.float64)
    for _, part in blocks_of_all(vectors):
        for site, row in enumerate(part):
            distances[site, site + 1 :] += np.square(part[site + 1 :] - row.astype(np.float64)).sum(axis=1)
    return distances + distances.T
