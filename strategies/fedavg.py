"""FedAvg: the mean of the sites' weights, each site counting by its studies.

McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, arXiv 1602.05629.
Flower's own class picks sites with the global random generator, waits for ever for missing ones and sums in the
order of arrival, so this one is the project's own; it keeps to the same interface.
"""

from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from strategies import records
from strategies.aggregation import weighted_mean


class FedAvg(Strategy):
    """Asks every node that the grid shows; `replies` come in the order in which they are to be summed."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        return _ask_all(arrays, config, grid, MessageType.TRAIN)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        updates = [records.unpack_update(reply.content) for reply in replies]
        mean = weighted_mean([u.weights for u in updates], [u.studies for u in updates])
        return records.pack_weights(mean), None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        return _ask_all(arrays, config, grid, MessageType.EVALUATE)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """None: histograms are pooled by `server.evaluation`; a mean of site AUCs is another quantity."""
        return None

    def summary(self) -> None:
        """Nothing to add: the run folder holds the resolved settings."""


def _ask_all(arrays: ArrayRecord, config: ConfigRecord, grid: Grid, message_type: str) -> list[Message]:
    content = records.instruction(arrays, config)
    return [Message(content, node_id, message_type) for node_id in sorted(grid.get_node_ids())]
