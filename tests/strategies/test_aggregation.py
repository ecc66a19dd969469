"""FedAvg and FedProx by numbers computed by hand, with replies as sites make them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord
from flwr.serverapp.strategy import FedMedian

from bloodnet_model.errors import RoundError, SettingsError
from bloodnet_model.settings import ModelSettings
from strategies import records
from strategies.aggregation import weighted_sum
from strategies.fedavg import FedAvg
from strategies.fedavgm import FedAvgM
from strategies.fednova import FedNova
from strategies.fedprox import FedProx
from strategies.records import RoundPlan
from strategies.registry import STRATEGIES, make_strategy, resolved_parameters
from tests.strategies.updates import TWO_NODES, combined, one_round, reply, update


def test_fedavg_by_hand() -> None:
    weights = one_round(FedAvg(), [0, 0, 0], {"a": reply([1, 0, -2], 10), "b": reply([4, 1, 4], 30)})
    # (10 * 1 + 30 * 4) / 40, (0 + 30) / 40, (10 * -2 + 30 * 4) / 40
    assert weights.tolist() == [3.25, 0.75, 2.5]


def test_sums_are_made_in_float64() -> None:
    vectors = [np.array([2.0**24], np.float32), np.array([1.0], np.float32), np.array([1.0], np.float32)]
    # in float32, 2^24 + 1 is 2^24 again and both ones would be lost
    assert weighted_sum(vectors, [1, 1, 1]).tolist() == [2.0**24 + 2]


@pytest.mark.parametrize("kind", [FedAvg, FedProx, FedAvgM])
def test_the_decoder_counts_by_masks_by_hand(kind: type[FedAvg]) -> None:
    strategy = kind(weighting="parts")
    strategy.begin(2, slice(1, 3))
    sites = [replace(update([1, 1, 1, 1], 10), mask_slices=60), replace(update([5, 5, 5, 5], 30), mask_slices=20)]
    # (10 * 1 + 30 * 5) / 40 = 4, and in the decoder (60 * 1 + 20 * 5) / 80 = 2
    assert combined(strategy, [0, 0, 0, 0], sites) == [4, 2, 2, 4]
    assert combined(strategy, [0, 0, 0, 0], [replace(site, mask_slices=0) for site in sites]) == [4, 4, 4, 4]
    only_one = [sites[0], replace(sites[1], mask_slices=0)]
    assert combined(strategy, [0, 0, 0, 0], only_one) == [4, 1, 1, 4]
    assert combined(kind(weighting="equal"), [0, 0, 0, 0], sites) == [3, 3, 3, 3]


def test_fednova_of_parts_by_hand() -> None:
    strategy = FedNova(weighting="parts")
    strategy.begin(2, slice(1, 2))
    few = replace(update([1 + 4, 1 + 4], studies=10, steps=2), mask_slices=30)
    many = replace(update([1 + 6, 1 + 6], studies=30, steps=6), mask_slices=10)
    # (2/4 + 6 * 3/4) steps of a quarter of 4/2 and three quarters of 6/6; in the decoder the shares are the other way
    assert combined(strategy, [1, 1], [few, many]) == pytest.approx([1 + 5 * 1.25, 1 + 3 * 1.75])


def test_no_study_anywhere_is_said_and_not_divided_by() -> None:
    with pytest.raises(RoundError, match="No site trained on any study"):
        one_round(FedAvg(), [0, 0], {"a": reply([1, 2], 0)})


def test_every_node_that_the_grid_shows_is_asked_in_order() -> None:
    messages = list(
        FedAvg().configure_train(1, records.pack_weights(np.zeros(2, np.float32)), ConfigRecord(), TWO_NODES)
    )
    assert [message.metadata.dst_node_id for message in messages] == [4, 9]


def test_fedprox_asks_for_its_term(small: ModelSettings) -> None:
    plan = RoundPlan(run="r", seed=0, round=1, total_rounds=2, local_epochs=1, model=small)
    arrays = records.pack_weights(np.arange(3, dtype=np.float32))
    for strategy, expected in ((FedAvg(), 0.0), (FedProx(proximal_mu=0.25), 0.25)):
        message = next(iter(strategy.configure_train(1, arrays, records.pack_plan(plan), TWO_NODES)))
        weights, received, mu = records.unpack_instruction(message.content)
        assert (weights.tolist(), received, mu) == ([0, 1, 2], plan, expected)


@pytest.mark.parametrize("name", ["fedprox", "flwr.serverapp.strategy:FedProx"])
def test_each_site_can_be_sent_a_plan_of_its_own(small: ModelSettings, name: str) -> None:
    plan = RoundPlan(run="r", seed=0, round=2, total_rounds=2, local_epochs=1, model=small)
    arrays = records.pack_weights(np.arange(3, dtype=np.float32))
    strategy = make_strategy(name, {"proximal_mu": 0.25})
    content = next(iter(strategy.configure_train(1, arrays, records.pack_plan(plan), TWO_NODES))).content
    own = plan.model_copy(update={"local_epochs": 7, "counted_round": 1, "local_steps": 5, "personal": "norms"})
    sent = records.with_plan(content, own)
    assert [type(value) for value in sent.values()] == [type(value) for value in content.values()]
    assert (sent["arrays"] is content["arrays"], sent["config"] is content["config"]) == (True, False)
    weights, received, mu = records.unpack_instruction(sent)
    assert (weights.tolist(), received, mu) == ([0, 1, 2], own, 0.25)
    assert records.unpack_plan(content) == plan


def test_registry_makes_each_strategy_and_flowers_own() -> None:
    for name, kind in STRATEGIES.items():
        assert type(make_strategy(name, {})) is kind
    median = make_strategy("flwr.serverapp.strategy:FedMedian", {})
    assert isinstance(median, FedMedian)
    assert median.min_available_nodes == 1


@pytest.mark.parametrize("name", ["fedavgg", "os:path", "flwr.serverapp.strategy:Nothing", "no.such.module:X"])
def test_an_unknown_strategy_lists_the_known(name: str) -> None:
    with pytest.raises(SettingsError, match="choose one of fedavg, fedprox"):
        make_strategy(name, {})


def test_flowers_median_aggregates_our_replies() -> None:
    replies = [reply([1, 5], 1), reply([2, 6], 9), reply([9, 7], 1)]
    aggregated, _ = make_strategy("flwr.serverapp.strategy:FedMedian", {}).aggregate_train(1, replies)
    assert aggregated is not None
    assert records.unpack_weights(aggregated).tolist() == [2, 6]


QFEDAVG = "flwr.serverapp.strategy:QFedAvg"


def test_flowers_strategies_are_given_their_parameters() -> None:
    strategy = make_strategy(QFEDAVG, {"client_learning_rate": 0.5, "q": 0.2})
    assert vars(strategy)["q"] == 0.2
    for parameters in ({}, {"client_learning_rate": 0.5, "qq": 0.2}):
        with pytest.raises(SettingsError, match=r"QFedAvg cannot be made with .*(client_learning_rate|qq)"):
            make_strategy(QFEDAVG, parameters)


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("fedadm", {}, "'fedadm' is unknown, did you mean fedadam? choose one of"),
        ("strategies.adaptive:Adaptive", {}, "is unknown"),
        ("fedadam", {"server_learning_rat": 0.1}, "unknown setting; did you mean server_learning_rate?"),
        ("fedadam", {"server_learning_rate": "fast"}, "strategy_parameters.server_learning_rate: .*valid number"),
        ("fedadam", {"server_learning_rate": float("nan")}, "finite number"),
        ("fedadam", {"beta_1": 1}, "beta_1: .*less than 1; received 1"),
        ("fedavg", {"weighting": "masks"}, "weighting: .*'studies', 'equal' or 'parts'; received 'masks'"),
        ("fedprox", {"proximal_mu": -1}, "proximal_mu: .*greater than or equal to 0"),
        ("median", {"weighting": "equal"}, "parameters.weighting: unknown setting; none is known here, leave it out."),
        ("krum", {"faulty_sites": 1.5}, "faulty_sites: .*integer"),
        ("trimmed-mean", {"faulty_sites": 0}, "faulty_sites: .*greater than or equal to 1"),
        ("strategies.fedadam:FedAdam", {"beta_3": 1}, "beta_3: unknown setting; did you mean beta_"),
    ],
)
def test_mistakes_in_strategies_and_parameters_are_named(name: str, parameters: Any, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence.replace("?", r"\?")):
        make_strategy(name, parameters)


def test_resolved_parameters_hold_the_defaults() -> None:
    given = {"server_momentum": 0.5}
    resolved = {"server_learning_rate": 1.0, "server_momentum": 0.5, "weighting": "studies"}
    assert resolved_parameters(make_strategy("fedavgm", given), given) == resolved
    assert resolved_parameters(FedMedian(), {"min_train_nodes": 1}) == {"min_train_nodes": 1}
