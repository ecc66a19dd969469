"""FedProx: FedAvg whose sites are held near the round's weights by (mu/2)·|w - w_global|².

Li et al., Federated Optimization in Heterogeneous Networks, arXiv 1812.06127. The term itself is computed at the
site, in `bloodnet_model.training`; the strategy only asks for it.
"""

from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid

from strategies import records
from strategies.fedavg import FedAvg


class FedProx(FedAvg):
    def __init__(self, proximal_mu: float) -> None:
        self.proximal_mu = proximal_mu

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        records.set_proximal_mu(config, self.proximal_mu)
        return super().configure_train(server_round, arrays, config, grid)
