"""FedAdam: Adam at the coordinator, on the sites' mean change.

Reddi et al., Adaptive Federated Optimization, https://arxiv.org/abs/2003.00295.
"""

import numpy as np
from numpy.typing import NDArray

from strategies.adaptive import Adaptive


class FedAdam(Adaptive):
    def follow(self, second: NDArray[np.float64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """Adam's: a running mean, which forgets at the same rate whether changes grow or shrink."""
        return self.beta_2 * second + (1 - self.beta_2) * squared
