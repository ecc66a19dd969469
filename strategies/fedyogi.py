"""FedYogi: FedAdam whose second moment moves by no more than the squared change, so that steps never grow suddenly.

Reddi et al., Adaptive Federated Optimization, https://arxiv.org/abs/2003.00295; Yogi itself: Zaheer et al., Adaptive
Methods for Nonconvex Optimization, NeurIPS 2018.
"""

import numpy as np
from numpy.typing import NDArray

from strategies.adaptive import Adaptive


class FedYogi(Adaptive):
    def follow(self, second: NDArray[np.float64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
        return second - (1 - self.beta_2) * squared * np.sign(second - squared)
