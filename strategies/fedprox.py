"""FedProx: FedAvg whose sites are held near the round's weights by (mu/2)·|w - w_global|².

Li et al., Federated Optimization in Heterogeneous Networks, https://arxiv.org/abs/1812.06127. The term itself is
computed at the site, in `bloodnet_model.training`; the strategy only asks for it.
"""

from collections.abc import Sequence

import numpy as np
from flwr.app import RecordDict
from numpy.typing import NDArray
from pydantic import Field

from strategies import records
from strategies.aggregation import Weighting, average
from strategies.records import Update
from strategies.round_strategy import RoundStrategy, State


class FedProx(RoundStrategy):
    proximal_mu: float = Field(0.01, ge=0, description="strength of the hold; 0 is FedAvg")
    weighting: Weighting = "studies"

    def instruct(self, content: RecordDict) -> None:
        records.set_proximal_mu(content, self.proximal_mu)

    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        return average(updates, self.weighting, self._decoder), {}
