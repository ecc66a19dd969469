"""The federation's arithmetic: pure functions, float64 inside."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import RoundError


def weighted_mean(vectors: Sequence[NDArray[np.float32]], weights: Sequence[float]) -> NDArray[np.float32]:
    """Mean of flat weight vectors (parameters,), summed in float64 in the order given.

    Raises RoundError where no weight is positive: dividing by their sum would destroy the model.
    """
    total = float(sum(weights))
    if not total > 0:
        raise RoundError("No site trained on any study this round; check the sites' ledgers.")
    mean = np.zeros(vectors[0].shape, np.float64)
    for vector, weight in zip(vectors, weights, strict=True):
        mean += np.float64(weight / total) * vector
    return mean.astype(np.float32)
