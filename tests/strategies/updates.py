"""Updates and replies as sites make them, for the tests of the strategies."""

from collections.abc import Iterable, Mapping
from typing import cast

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from strategies import records
from strategies.records import Update
from strategies.round_strategy import RoundStrategy


class TwoNodes:
    def get_node_ids(self) -> list[int]:
        return [9, 4]


POPULATION = 8
"""Sites that may train; fewer of them do."""

TWO_NODES = cast(Grid, TwoNodes())


def update(weights: Iterable[float], studies: int = 10, steps: int = 4, control: bool = False) -> Update:
    """With `control`, its change of SCAFFOLD's control is its weights, too."""
    values = np.array(list(weights), np.float32)
    change = values if control else None
    return Update(values, studies, steps, (1.0, 0.5, 0.3, 0.2), 1.0, control_change=change)


def reply(weights: Iterable[float], studies: int = 10, steps: int = 4, control: bool = False) -> Message:
    asked = Message(RecordDict(), 7, "train")
    return Message(records.pack_update(update(weights, studies, steps, control)), reply_to=asked)


def one_round(
    strategy: RoundStrategy, previous: Iterable[float], replies: Mapping[str, Message], number: int = 1
) -> NDArray[np.float32]:
    """The weights after a round as the loop makes it: asked, answered, summed in the order of the sites' names."""
    strategy.begin(POPULATION, slice(1, 3))
    arrays = records.pack_weights(np.array(list(previous), np.float32))
    strategy.configure_train(number, arrays, ConfigRecord(), TWO_NODES)
    aggregated, metrics = strategy.aggregate_train(number, records.site_order(replies))
    assert aggregated is not None
    assert metrics is None
    return records.unpack_weights(aggregated)


def combined(strategy: RoundStrategy, previous: Iterable[float], updates: Iterable[Update]) -> list[float]:
    """What a first round makes of `updates`."""
    weights, _ = strategy.combine(np.array(list(previous), np.float32), list(updates), {})
    return [float(value) for value in weights]
