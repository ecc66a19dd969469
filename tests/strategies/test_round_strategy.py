"""What every strategy must hold: bytes that depend on no order, and state that can be kept."""

from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import Message
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bloodnet_model.errors import RoundError
from strategies import aggregation
from strategies.aggregation import ranked_mean, squared_distances, weighted_sum
from strategies.fedadam import FedAdam
from strategies.fedavg import FedAvg
from strategies.fedavgm import FedAvgM
from strategies.registry import STRATEGIES
from strategies.round_strategy import RoundStrategy
from tests.strategies.updates import one_round, reply

NAMES = ["aachen", "bonn", "celle", "dresden", "essen", "fulda"]
Vectors = list[NDArray[np.float32]]
Arithmetic = Callable[[Vectors], NDArray[np.float64]]


def replies(number: int, weights: NDArray[np.float32]) -> dict[str, Message]:
    """Six sites of other sizes and steps, each somewhere around `weights`."""
    rng = np.random.default_rng(number)
    return {
        name: reply(weights + rng.normal(size=weights.size), 7 + 13 * site, 3 + 2 * site, control=True)
        for site, name in enumerate(NAMES)
    }


def run(strategy: RoundStrategy, weights: NDArray[np.float32], numbers: range) -> NDArray[np.float32]:
    for number in numbers:
        weights = one_round(strategy, weights, replies(number, weights), number)
    return weights


def as_bytes(strategy: RoundStrategy) -> dict[str, bytes]:
    return {name: of.tobytes() for name, of in strategy.state().items()}


START = np.linspace(-1, 1, 11, dtype=np.float32)


@pytest.mark.parametrize("kind", STRATEGIES.values())
def test_a_run_that_is_gone_on_with_ends_in_the_same_bytes(kind: type[RoundStrategy]) -> None:
    whole, first, second = kind(), kind(), kind()
    assert whole.state() == {}
    expected = run(whole, START, range(1, 5))
    between = run(first, START, range(1, 3))
    state = first.state()
    assert state.keys() == kind.keeps
    kept = as_bytes(first)
    second.restore({name: array.copy() for name, array in state.items()})
    run(first, between, range(3, 5))
    assert {name: array.tobytes() for name, array in state.items()} == kept  # a state given out does not go on
    assert run(second, between, range(3, 5)).tobytes() == expected.tobytes()
    assert as_bytes(second) == as_bytes(whole)
    if kind.keeps:
        forgetful = kind()
        weights = run(forgetful, between, range(3, 5))
        assert (weights.tobytes(), as_bytes(forgetful)) != (expected.tobytes(), as_bytes(whole))


@pytest.mark.parametrize("name", STRATEGIES)
@hypothesis_settings(max_examples=10)
@given(order=st.permutations(NAMES))
def test_the_order_of_arrival_changes_no_byte(name: str, order: list[str]) -> None:
    # the large ones cancel out; what the small ones leave depends on which were added before
    sent = dict(zip(NAMES, (1e17, 1, -1e17, 2, 3, 4), strict=True))
    alphabetical, as_it_came = STRATEGIES[name](), STRATEGIES[name]()
    expected = one_round(alphabetical, START, {site: reply(START + sent[site], control=True) for site in NAMES})
    got = one_round(as_it_came, START, {site: reply(START + sent[site], control=True) for site in order})
    assert got.tobytes() == expected.tobytes()
    assert as_bytes(as_it_came) == as_bytes(alphabetical)


def test_the_state_of_another_strategy_is_refused() -> None:
    momentum, moments = FedAvgM(), FedAdam()
    run(momentum, START, range(1, 2))
    with pytest.raises(RoundError, match="holds momentum, and this strategy keeps first-moment, second-moment; resume"):
        moments.restore(momentum.state())
    with pytest.raises(RoundError, match="keeps none"):
        FedAvg().restore(momentum.state())


def test_a_round_that_was_not_asked_for_is_not_aggregated() -> None:
    with pytest.raises(RoundError, match="call configure_train before"):
        FedAvg().aggregate_train(1, [reply([1])])


@pytest.mark.parametrize(
    "arithmetic",
    [lambda v: weighted_sum(v, [0.1 * i for i in range(len(v))]), lambda v: ranked_mean(v, 1), squared_distances],
)
class TestBlocks:
    def test_where_a_block_ends_does_not_matter(self, arithmetic: Arithmetic, monkeypatch: pytest.MonkeyPatch) -> None:
        vectors: Vectors = list(np.random.default_rng(0).normal(size=(5, 103)).astype(np.float32))
        whole = arithmetic(vectors)
        for values in (1, 35, 5 * 103):
            monkeypatch.setattr(aggregation, "_BLOCK_VALUES", values)
            monkeypatch.setattr(aggregation, "_TOGETHER_VALUES", values)
            np.testing.assert_allclose(arithmetic(vectors), whole, rtol=1e-13)
