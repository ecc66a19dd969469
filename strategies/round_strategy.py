"""What all of the project's strategies share: who is asked, what is kept from round to round, Flower's interface.

A strategy is a frozen model of its parameters with one pure method, `combine`. Flower's own classes pick sites with the
global random generator, wait for ever for missing ones, sum in the order of arrival and average every metric.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray
from pydantic import ConfigDict, PrivateAttr

from bloodnet_model.errors import RoundError
from bloodnet_model.settings import Settings
from strategies import records
from strategies.records import Personal, Update

State = Mapping[str, NDArray[np.float64]]
"""What a strategy keeps between rounds, by name; each (parameters,)."""


class RoundStrategy(Settings, Strategy):
    """Asks every node that the grid shows; replies come in the order in which they are to be summed."""

    model_config = ConfigDict(allow_inf_nan=False)
    keeps: ClassVar[frozenset[str]] = frozenset()
    """Names of the state of this strategy."""
    personal: ClassVar[Personal] = ""
    """Which part of the model stays at the sites; their plans say so, too."""
    second_vector: ClassVar[bool] = False
    """Whether updates need their `control_change`."""

    _population: int = PrivateAttr(default=0)
    _decoder: slice = PrivateAttr(default=slice(0, 0))
    _state: dict[str, NDArray[np.float64]] = PrivateAttr(default_factory=dict)
    _previous: NDArray[np.float32] | None = PrivateAttr(default=None)

    @property
    def fewest_sites(self) -> int:
        """Updates without which the strategy could not keep what it promises."""
        return 1

    def refuse_too_few(self, sites: int) -> None:
        """Raises RoundError where `sites` updates are fewer than `fewest_sites`."""
        if sites < self.fewest_sites:
            parameters = ", ".join(f"{name}={value}" for name, value in self)
            raise RoundError(
                f"{type(self).__name__} with {parameters} needs the updates of {self.fewest_sites} sites, and there "
                f"are {sites}; lower its parameters, or choose another strategy."
            )

    @abstractmethod
    def combine(
        self, previous: NDArray[np.float32], updates: Sequence[Update], state: State
    ) -> tuple[NDArray[np.float64], State]:
        """The next weights (parameters,) and state, from those before the round and the sites' updates.

        Pure: the same arguments give the same bytes, and none of them is changed. `state` is empty in the first round.
        There are at least `fewest_sites` updates.
        """

    def begin(self, population: int, decoder: slice) -> None:
        """Told before the first round, and when sites join: how many may train, and where the decoder's weights are."""
        self._population, self._decoder = population, decoder

    def instruct(self, content: RecordDict) -> None:
        """Add to a training message what the sites must do for this strategy; most ask for nothing."""

    def state(self) -> dict[str, NDArray[np.float64]]:
        """What the next round depends on beside the weights; empty before the first round and without memory."""
        return dict(self._state)

    def restore(self, state: State) -> None:
        """Go on from what `state` gave; raises RoundError where it is another strategy's."""
        if state and state.keys() != self.keeps:
            raise RoundError(
                f"The kept state holds {', '.join(sorted(state))}, and this strategy keeps "
                f"{', '.join(sorted(self.keeps)) or 'none'}; resume with the strategy that the run began with."
            )
        self._state = dict(state)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The weights that the round starts from are kept for `next_weights`."""
        self._previous = records.unpack_weights(arrays)
        content = records.instruction(arrays, config)
        self.instruct(content)
        return _ask_all(content, grid, MessageType.TRAIN)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """As `next_weights`, for replies in the order of the sites' names."""
        updates = [records.unpack_update(reply.content) for reply in replies]
        return records.pack_weights(self.next_weights(server_round, updates)), None

    def next_weights(self, server_round: int, updates: Sequence[Update]) -> NDArray[np.float32]:
        """The weights (parameters,) after the round; the state is that after it, too.

        Raises RoundError where the updates are too few, or their combination is no finite number.
        """
        if self._previous is None:
            raise RoundError("The weights that this round started from are unknown; call configure_train before.")
        self.refuse_too_few(len(updates))
        combined, state = self.combine(self._previous, updates, self._state)
        with np.errstate(over="ignore"):
            weights = combined.astype(np.float32)
        if not np.isfinite(weights).all():
            raise RoundError(f"Round {server_round}: the combined weights are not finite; lower the server's rate.")
        self._state = dict(state)
        return weights

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        return _ask_all(records.instruction(arrays, config), grid, MessageType.EVALUATE)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """None: histograms are pooled by `server.evaluation`; a mean of site AUCs is another quantity."""
        return None

    def summary(self) -> None:
        """Nothing to add: the run folder holds the resolved settings."""


def _ask_all(content: RecordDict, grid: Grid, message_type: str) -> list[Message]:
    return [Message(content, node_id, message_type) for node_id in sorted(grid.get_node_ids())]
