"""FedBN, Ditto and SCAFFOLD at the coordinator: what they ask of the sites, and SCAFFOLD's control by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ConfigRecord, RecordDict

from bloodnet_model.errors import RoundError
from bloodnet_model.settings import ModelSettings
from strategies import records
from strategies.ditto import Ditto
from strategies.fedavg import FedAvg
from strategies.fedbn import FedBN
from strategies.records import RoundPlan, Training, Update
from strategies.round_strategy import RoundStrategy
from strategies.scaffold import Scaffold
from tests.strategies.updates import TWO_NODES, combined, update


@pytest.fixture
def plan(small: ModelSettings) -> RoundPlan:
    return RoundPlan(run="r", seed=0, round=1, total_rounds=2, local_epochs=1, model=small)


def asked(strategy: RoundStrategy, plan: RoundPlan, weights: Sequence[float]) -> Training:
    arrays = records.pack_weights(np.array(weights, np.float32))
    first, second = strategy.configure_train(1, arrays, records.pack_plan(plan), TWO_NODES)
    own = records.with_plan(second.content, plan.model_copy(update={"counted_round": 1}))
    assert records.unpack_training(own).plan.counted_round == 1
    assert own.keys() == first.content.keys()
    return records.unpack_training(first.content)


def trained(weights: Sequence[float], change: Sequence[float]) -> Update:
    return replace(update(weights), control_change=np.array(change, np.float32))


def test_scaffold_by_hand(plan: RoundPlan) -> None:
    strategy = Scaffold(server_learning_rate=0.5)
    strategy.begin(4, slice(0, 0))
    control = asked(strategy, plan, [1, 1]).control
    assert control is not None
    assert control.tolist() == [0, 0]
    first = strategy.next_weights(1, [trained([3, 1], [4, 8]), trained([5, -1], [0, -2])])
    assert first.tolist() == [2.5, 0.5]  # half of the way to the mean (4, 0)
    control = asked(strategy, plan, first.tolist()).control
    assert control is not None
    assert control.tolist() == [1, 1.5]  # (4 + 0) / 4, (8 - 2) / 4: two of four sites
    strategy.next_weights(2, [trained([0, 0], [-2, 2])])
    control = asked(strategy, plan, [0, 0]).control
    assert control is not None
    assert control.tolist() == [0.5, 2]  # one of four
    strategy.begin(5, slice(0, 0))  # a fifth one joins, whose control is 0
    control = asked(strategy, plan, [0, 0]).control
    assert control is not None
    assert control.tolist() == pytest.approx([0.4, 1.6])


def test_scaffold_needs_to_know_how_many_sites_there_are(plan: RoundPlan) -> None:
    with pytest.raises(RoundError, match="unknown how many sites there are; call begin"):
        asked(Scaffold(), plan, [0])


def test_scaffold_needs_every_sites_change() -> None:
    strategy = Scaffold()
    strategy.begin(2, slice(0, 0))
    with pytest.raises(RoundError, match="sent no change of its control"):
        combined(strategy, [0], [update([1], control=True), update([1])])


@pytest.mark.parametrize("strategy", [FedBN(), Ditto(), FedBN(weighting="parts"), Ditto(weighting="equal")])
def test_what_stays_at_the_sites_changes_no_mean(strategy: FedAvg) -> None:
    sites = [replace(update([1, 4], 10), mask_slices=3), replace(update([5, 4], 30), mask_slices=1)]
    shared = FedAvg(weighting=strategy.weighting)
    for each in (strategy, shared):
        each.begin(2, slice(0, 1))
    assert combined(strategy, [0, 4], sites) == combined(shared, [0, 4], sites)


def test_what_was_received_does_not_move_by_being_averaged() -> None:
    received = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    sites = [update(received, studies) for studies in (7, 13, 29, 3, 211)]
    strategy = FedBN()
    strategy.configure_train(1, records.pack_weights(received), ConfigRecord(), TWO_NODES)
    assert strategy.next_weights(1, sites).tobytes() == received.tobytes()


def test_each_says_what_the_sites_keep_and_what_they_send(plan: RoundPlan) -> None:
    said = {kind.__name__: (kind.personal, kind.second_vector) for kind in (FedAvg, FedBN, Ditto, Scaffold)}
    assert said == {"FedAvg": ("", False), "FedBN": ("norms", False), "Ditto": ("model", False), "Scaffold": ("", True)}
    assert asked(Ditto(personal_lambda=0.7), plan, [1]).personal_lambda == 0.7
    for strategy in (FedAvg(), FedBN()):
        training = asked(strategy, plan, [1])
        assert (training.proximal_mu, training.personal_lambda, training.control) == (0, 0, None)


def test_a_message_without_a_request_asks_for_nothing(plan: RoundPlan) -> None:
    content: RecordDict = records.instruction(records.pack_weights(np.ones(1, np.float32)), records.pack_plan(plan))
    assert records.unpack_training(content).control is None
