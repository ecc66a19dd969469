"""SCAFFOLD: each site's steps are corrected by c - c_i, how its patients' gradients differ from everybody's.

Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, https://arxiv.org/abs/1910.06378.
A site's control c_i is the mean of its gradients in its last round that counted: for plain SGD that is the paper's
option II, and with an adaptive optimiser, where option II has no meaning, it is a heuristic. c moves by the sites'
changes over the number of all sites, so it is the mean of all c_i; kept is their sum, for sites may still join. Sites
count alike, as in the paper: c is a plain mean, and by another one the corrections would not cancel out.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
from flwr.app import RecordDict
from numpy.typing import NDArray
from pydantic import Field

from bloodnet_model.errors import RoundError
from strategies import records
from strategies.aggregation import average, weighted_sum
from strategies.records import Update
from strategies.round_strategy import RoundStrategy, State

_CONTROL: Final = "control"


class Scaffold(RoundStrategy):
    server_learning_rate: float = Field(1.0, gt=0, description="of the coordinator's step; 1 takes the sites' mean")

    keeps: ClassVar[frozenset[str]] = frozenset({_CONTROL})
    second_vector: ClassVar[bool] = True

    def instruct(self, content: RecordDict) -> None:
        if self._population < 1:
            raise RoundError("scaffold: it is unknown how many sites there are; call begin before the first round.")
        total = self.state().get(_CONTROL)
        if total is None:
            total = np.zeros(records.unpack_weights(records.arrays_of(content)).shape)
        records.set_control(content, (total / self._population).astype(np.float32))

    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        changes = [update.control_change for update in updates if update.control_change is not None]
        if len(changes) < len(updates):
            raise RoundError("scaffold: a site sent no change of its control; run the same version on both sides.")
        change = weighted_sum(changes, [1.0] * len(changes))
        step = average(updates, "equal", self._decoder) - previous
        return previous + self.server_learning_rate * step, {_CONTROL: state[_CONTROL] + change if state else change}
