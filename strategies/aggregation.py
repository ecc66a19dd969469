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
    Literal["studies", "equal", "parts"],
    Field(description="sites count by the studies they trained on, all alike, or in the decoder by slices with masks"),
]

_BLOCK_VALUES: Final = 1 << 18
"""Of a block of which one site's part is in memory at a time: 2 MB of float64."""
_TOGETHER_VALUES: Final = 1 << 21
"""Of a block of all sites' parts together: 16 MB of float64; with fewer, 200 sites' files are opened too often."""


def average(updates: Sequence[Update], weighting: Weighting, decoder: slice) -> NDArray[np.float64]:
    """Mean of the sites' weights (parameters,)."""
    vectors = [update.weights for update in updates]
    mean = np.empty(vectors[0].shape, np.float64)
    for part, shares in shares_of_parts(updates, weighting, decoder):
        mean[part] = weighted_sum(vectors, shares, part)
    return mean


def shares_of_parts(
    updates: Sequence[Update], weighting: Weighting, decoder: slice
) -> Iterator[tuple[slice, list[float]]]:
    """Each site's share, together one, in the mean of all weights, and then in that of the part where it is another.

    That is the decoder by slices with masks, for they are what teaches it; by studies where nobody has a mask. Raises
    RoundError where no site trained on a study: dividing by their sum would destroy the model.
    """
    counts = [1 if weighting == "equal" else update.studies for update in updates]
    if not sum(counts) > 0:
        raise RoundError("No site trained on any study this round; check the sites' ledgers.")
    yield slice(None), _shares(counts)
    masks = [update.mask_slices for update in updates]
    if weighting == "parts" and sum(masks) > 0:
        yield decoder, _shares(masks)


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total for count in counts]


def weighted_sum(vectors: Sequence[Vector], factors: Sequence[float], part: slice = slice(None)) -> NDArray[np.float64]:
    """Sum of factor times vector in a part of the parameters (values of the part,), in the order given."""
    start, stop, _ = part.indices(len(vectors[0]))
    total = np.zeros(stop - start, np.float64)
    for block in blocks(len(total), _BLOCK_VALUES):
        there = slice(start + block.start, start + block.stop)
        for vector, factor in zip(vectors, factors, strict=True):
            total[block] += np.float64(factor) * vector[there]
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
