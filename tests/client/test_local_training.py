"""What a site keeps, what it sends, and what it is scored with, through its own door."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.steering import Steering
from bloodnet_model.training import TrainingResult, train_round
from bloodnet_model.weights import flat_weights, load_network, norm_positions
from client.app import SITE_FOLDER, app
from client.state import SiteState
from simulation.phantom import PhantomSettings, write_federation
from strategies import evaluation_records, records
from strategies.ditto import Ditto
from strategies.fedavg import FedAvg
from strategies.fedbn import FedBN
from strategies.records import RoundPlan, Update
from strategies.round_strategy import RoundStrategy
from strategies.scaffold import Scaffold

Weights = NDArray[np.float32]


@pytest.fixture(autouse=True)
def _inside_a_task() -> None:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("data") / "hospitals"
    settings = PhantomSettings(hospitals=3, studies=10, slices=8, matrix=64, seed=2)
    return tuple(write_federation(folder, settings, 1, lambda: None))


@pytest.fixture(scope="module")
def model() -> ModelSettings:
    return model_settings("tiny", preprocessing={"rows": 32, "columns": 24, "spacing_mm": 7.0})


@dataclass
class Nodes:
    """Three hospitals, and which of their rounds counted last."""

    folders: tuple[Path, ...]
    strategy: RoundStrategy
    plan: RoundPlan
    counted: dict[int, int] = field(default_factory=dict)

    def get_node_ids(self) -> list[int]:
        return list(range(len(self.folders)))

    def plan_of(self, node: int, **changes: Any) -> RoundPlan:
        own = {"counted_round": self.counted.get(node, 0), "personal": self.strategy.personal}
        return self.plan.model_copy(update={**own, **changes})

    def ask(self, node: int, kind: str, content: RecordDict) -> RecordDict:
        context = Context(1, node, {SITE_FOLDER: str(self.folders[node])}, RecordDict(), {})
        answer = app(Message(content, node, kind), context).content
        assert records.status_code(answer) == records.OK
        return answer

    def instruction(self, node: int, weights: Weights) -> RecordDict:
        """As the round loop makes it, for this node alone."""
        arrays, config = records.pack_weights(weights), records.pack_plan(self.plan)
        messages = list(self.strategy.configure_train(self.plan.round, arrays, config, cast(Grid, self)))
        return records.with_plan(messages[node].content, self.plan_of(node))

    def train(self, node: int, weights: Weights) -> Update:
        return records.unpack_update(self.ask(node, "train", self.instruction(node, weights)))

    def round(self, number: int, weights: Weights, lost: Collection[int] = ()) -> Weights:
        self.plan = self.plan.model_copy(update={"round": number})
        updates = {node: self.train(node, weights) for node in self.get_node_ids()}
        for node in lost:
            del updates[node]
        self.counted |= dict.fromkeys(updates, number)
        return self.strategy.next_weights(number, list(updates.values())) if updates else weights

    def state(self, node: int) -> SiteState:
        return SiteState(self.folders[node] / ".bloodnet", self.plan.run)

    def vector(self, node: int, section: str) -> Weights:
        return np.asarray(self.state(node).after(self.counted[node])[section]["values"].numpy())

    def evaluated(self, node: int, weights: Weights, **changes: Any) -> dict[str, Any]:
        config = evaluation_records.evaluation_config(self.plan_of(node, **changes), "validation")
        answer = self.ask(node, "evaluate", records.instruction(records.pack_weights(weights), config))
        return dict(evaluation_records.unpack_evaluation(answer).histograms)


def nodes(hospitals: tuple[Path, ...], strategy: RoundStrategy, model: ModelSettings, run: str) -> Nodes:
    strategy.begin(len(hospitals), slice(0, 0))
    return Nodes(
        hospitals,
        strategy,
        RoundPlan(run=run, seed=0, round=1, total_rounds=4, local_epochs=1, model=model, local_steps=3),
    )


def first(model: ModelSettings) -> Weights:
    return flat_weights(build_network(model, 0))


def test_scaffolds_control_is_the_mean_of_all_sites_even_where_updates_are_lost(
    hospitals: tuple[Path, ...], model: ModelSettings
) -> None:
    sites, weights = nodes(hospitals, Scaffold(), model, "scaffold"), first(model)
    for number, lost in ((1, {2}), (2, {0}), (3, set[int]())):
        weights = sites.round(number, weights, lost)
        own = [sites.vector(node, "control") for node in sites.counted]
        assert max(np.abs(of).max() for of in own) > 1e-3
        sites.plan = sites.plan.model_copy(update={"round": number + 1})
        control = records.unpack_training(sites.instruction(0, weights)).control
        assert control is not None
        mean = np.array(own, np.float64).sum(axis=0) / 3  # a site that never counted has a control of zeros
        np.testing.assert_allclose(control, mean, atol=1e-8)
    assert len(sites.counted) == 3


def test_scaffold_corrects_by_what_others_have_and_the_site_has_not(
    hospitals: tuple[Path, ...], model: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[Weights] = []

    def noted(network: BloodNet, *others: Any) -> TrainingResult:
        steering: Steering = others[-1]
        assert steering.correction is not None
        added.append(steering.correction)
        return train_round(network, *others)

    monkeypatch.setattr("client.local_training.train_round", noted)
    sites = nodes(hospitals, Scaffold(), model, "corrected")
    weights = sites.round(1, first(model))
    assert not np.any(added)  # all controls are 0
    sites.round(2, weights, lost={0, 1, 2})  # sites keep the controls of round 1
    own = [sites.vector(node, "control") for node in range(3)]
    for node in range(3):
        np.testing.assert_allclose(added[3 + node], np.mean(own, axis=0) - own[node], atol=1e-7)
        assert np.abs(added[3 + node]).max() > 1e-3


def test_fedbns_norms_neither_leave_nor_are_overwritten(hospitals: tuple[Path, ...], model: ModelSettings) -> None:
    sites, start = nodes(hospitals, FedBN(), model, "fedbn"), first(model)
    norms = norm_positions(build_network(model, 0))
    weights = sites.round(1, start)
    assert weights[norms].tobytes() == start[norms].tobytes()
    assert not (weights[~norms] == start[~norms]).all()
    own = [sites.vector(node, "own") for node in range(3)]
    assert all(not np.array_equal(of, start[norms]) for of in own)
    assert not np.array_equal(own[0], own[1])
    sites.plan = sites.plan.model_copy(update={"round": 2})
    received = []
    for elsewhere in (5.0, 7.0):
        weights[norms] = elsewhere
        received.append(sites.train(0, weights).weights[:])
        assert (received[-1][norms] == elsewhere).all()
    assert received[0][~norms].tobytes() == received[1][~norms].tobytes()


def test_fedbns_sites_are_scored_with_their_own_norms(hospitals: tuple[Path, ...], model: ModelSettings) -> None:
    sites, norms = nodes(hospitals, FedBN(), model, "fedbn-scored"), norm_positions(build_network(model, 0))
    weights = sites.round(1, first(model))
    whole = weights.copy()
    whole[norms] = sites.vector(0, "own")
    assert sites.evaluated(0, weights) == sites.evaluated(0, whole, personal="")
    assert sites.evaluated(0, weights) != sites.evaluated(0, weights, personal="")
    network, settings = load_network(sites.state(0).own_model)
    assert settings == model
    assert flat_weights(network).tobytes() == whole.tobytes()
    assert not sites.state(1).own_model.exists()  # which was not asked for its scores


def test_dittos_shared_model_is_fedavgs_and_its_own_stays(hospitals: tuple[Path, ...], model: ModelSettings) -> None:
    fedavg, ditto = nodes(hospitals, FedAvg(), model, "fedavg"), nodes(hospitals, Ditto(), model, "ditto")
    expected = shared = first(model)
    for number in (1, 2):
        expected, shared = fedavg.round(number, expected), ditto.round(number, shared)
        assert shared.tobytes() == expected.tobytes()
    own = ditto.vector(0, "own")
    assert own.shape == shared.shape
    assert ditto.state(0).after(2)["own-optimizer"]["step.conv1.weight"].item() == 6  # three more than after round 1
    assert np.abs(own - shared).max() > 1e-3
    assert ditto.evaluated(0, shared) == fedavg.evaluated(0, own) != fedavg.evaluated(0, shared)
    assert flat_weights(load_network(ditto.state(0).own_model)[0]).tobytes() == own.tobytes()


def test_dittos_own_model_is_held_to_what_was_received(
    hospitals: tuple[Path, ...], model: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    steerings: list[Steering] = []

    def noted(network: BloodNet, *others: Any) -> TrainingResult:
        steerings.append(others[-1])
        return train_round(network, *others)

    monkeypatch.setattr("client.local_training.train_round", noted)
    ditto = nodes(hospitals[:1], Ditto(personal_lambda=0.7), model, "held")
    received = ditto.round(1, first(model)) + np.float32(0.01)
    ditto.round(2, received)
    assert [steering.proximal_mu for steering in steerings] == [0, 0.7, 0, 0.7]  # the shared one is not held
    for steering, weights in zip(steerings[1::2], (first(model), received), strict=True):
        assert steering.anchor is not None
        assert steering.anchor.tobytes() == weights.tobytes()


def test_only_the_first_of_two_compared_models_gets_the_sites_own_part(
    hospitals: tuple[Path, ...], model: ModelSettings
) -> None:
    ditto = nodes(hospitals, Ditto(), model, "compared")
    shared = ditto.round(1, first(model))
    own = ditto.vector(0, "own")

    def sums(one: Weights, other: Weights, **changes: Any) -> object:
        pooled = (ditto.evaluated(0, shared)["any"], ditto.evaluated(0, first(model), personal="")["any"])
        request = evaluation_records.ComparisonRequest("validation", (one, other), pooled)
        content = evaluation_records.pack_comparison(request, ditto.plan_of(0, **changes))
        return evaluation_records.unpack_placements(ditto.ask(0, evaluation_records.COMPARE, content))

    assert sums(shared, first(model)) == sums(own, first(model), personal="")


@pytest.mark.parametrize("strategy", [FedBN(), Ditto(), Scaffold()], ids=["fedbn", "ditto", "scaffold"])
def test_a_site_whose_state_is_gone_starts_as_in_its_first_round(
    strategy: RoundStrategy, hospitals: tuple[Path, ...], model: ModelSettings
) -> None:
    sites = nodes(hospitals[:1], strategy, model, f"gone-{type(strategy).__name__}")
    weights = sites.round(1, first(model))
    sites.plan = sites.plan.model_copy(update={"round": 2})
    going_on = sites.train(0, weights)
    shutil.rmtree(sites.state(0).folder)
    gone = sites.train(0, weights)
    sites.counted.clear()
    assert_same(sites.train(0, weights), gone)
    assert gone.weights[:].tobytes() != going_on.weights[:].tobytes()


def assert_same(one: Update, other: Update) -> None:
    for a, b in ((one.weights, other.weights), (one.control_change, other.control_change)):
        assert (a is None) == (b is None)
        assert a is None or b is None or a[:].tobytes() == b[:].tobytes()
    same = {"weights": other.weights, "control_change": other.control_change, "seconds": other.seconds}
    assert replace(one, **same) == other  # type: ignore[arg-type]
