"""FedAvgM, FedAdam, FedYogi and FedNova by numbers computed by hand, and how they fall back to FedAvg."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.errors import RoundError
from strategies.fedadam import FedAdam
from strategies.fedavg import FedAvg
from strategies.fedavgm import FedAvgM
from strategies.fednova import FedNova
from strategies.fedyogi import FedYogi
from strategies.records import Update
from strategies.round_strategy import RoundStrategy
from tests.strategies.updates import combined, one_round, reply, update


def rounds(strategy: RoundStrategy, start: list[float], *means: list[float]) -> list[list[float]]:
    """The weights after each round in which two sites, as large as each other, stood one below and one above a mean."""
    after, weights = [], np.array(start, np.float32)
    for number, mean in enumerate(means, start=1):
        replies = {"a": reply(np.array(mean) - 1), "b": reply(np.array(mean) + 1)}
        weights = one_round(strategy, weights, replies, number)
        after.append(weights.tolist())
    return after


def test_fedavgm_by_hand() -> None:
    strategy = FedAvgM(server_learning_rate=0.5, server_momentum=0.9)
    first, second = rounds(strategy, [1, 0], [3, 1], [2, 1.5])
    assert first == [2, 0.5]  # change (2, 1), half of it
    # change (0, 1); momentum 0.9 * (2, 1) + (0, 1) = (1.8, 1.9); half of it added
    assert second == pytest.approx([2.9, 1.45])
    assert strategy.state()["momentum"].tolist() == pytest.approx([1.8, 1.9])


def test_fedadam_by_hand() -> None:
    strategy = FedAdam(server_learning_rate=12, beta_1=0.5, beta_2=0.5, tau=1)
    # v = (1 + change²) / 2 = 1, 25, 25, 1/2; step = 12 * change / 2 / (sqrt(v) + 1)
    first, second = rounds(strategy, [0, 0, 10, 5], [1, 7, 3, 5], [10, 12, 3, 5])
    assert first == pytest.approx([3, 7, 3, 5])
    # changes 7, 5, 0, 0: m = 0.5/2 + 7/2, 3.5/2 + 5/2, -3.5/2, 0; v = (1 + 49) / 2, (25 + 25) / 2, 25/2
    assert second == pytest.approx([3 + 12 * 3.75 / 6, 7 + 12 * 4.25 / 6, 3 - 12 * 1.75 / (12.5**0.5 + 1), 5])


def test_fedyogi_by_hand() -> None:
    # 4² is above tau² = 1: v = 1 + 16/2 = 9; step = 12 * 4 / 2 / (3 + 1)
    strategy = FedYogi(server_learning_rate=12, beta_1=0.5, beta_2=0.5, tau=1)
    first, second = rounds(strategy, [0], [4], [10])
    assert first == pytest.approx([6])
    # 4² is above 9: v = 9 + 16/2; m = 2/2 + 4/2
    assert second == pytest.approx([6 + 12 * 3 / (17**0.5 + 1)])
    # below tau² = 25 it falls by the squared change, above it rises by it: v = 25 - 9, 25 - 16, 25 + 144
    slow = FedYogi(server_learning_rate=36, beta_1=0.5, beta_2=0, tau=5)
    assert rounds(slow, [0, 0, 0], [3, 4, -12])[0] == pytest.approx([6, 9, -12])


def test_fednova_by_hand() -> None:
    few_steps, many_steps = update([1 + 4], studies=10, steps=2), update([1 + 6], studies=30, steps=6)
    # (2/4 + 6 * 3/4) steps of a quarter of 4/2 and three quarters of 6/6
    assert combined(FedNova(), [1], [few_steps, many_steps]) == pytest.approx([1 + 5 * 1.25])
    # (2/2 + 6/2) steps of a half of 4/2 and a half of 6/6
    assert combined(FedNova(weighting="equal"), [1], [few_steps, many_steps]) == pytest.approx([1 + 4 * 1.5])


def test_fednova_divides_by_no_step_that_was_not_made() -> None:
    with pytest.raises(RoundError, match="made no step"):
        FedNova().combine(np.zeros(1, np.float32), [update([1], steps=0)], {})


@pytest.mark.parametrize("kind", [FedAvg, FedAvgM, FedNova])
def test_sites_count_by_studies_or_all_alike(kind: type[FedAvg]) -> None:
    sites = [update([1], studies=10), update([5], studies=30)]
    assert combined(kind(), [0], sites) == pytest.approx([4])
    assert combined(kind(weighting="equal"), [0], sites) == pytest.approx([3])


VALUES = st.floats(-1000, 1000, width=32)
SITES = st.lists(st.tuples(st.lists(VALUES, min_size=3, max_size=3), st.integers(1, 10**6)), min_size=1, max_size=6)


@given(st.lists(VALUES, min_size=3, max_size=3), SITES, st.integers(1, 10**5))
def test_without_what_they_add_they_are_fedavg(
    previous: list[float], sites: list[tuple[list[float], int]], steps: int
) -> None:
    updates: list[Update] = [update(weights, studies, steps) for weights, studies in sites]
    expected = combined(FedAvg(), previous, updates)
    for strategy in (FedNova(), FedAvgM(server_learning_rate=1, server_momentum=0)):
        assert combined(strategy, previous, updates) == pytest.approx(expected, rel=0, abs=1e-9)


def test_a_step_that_passes_float32_is_refused_and_leaves_the_state() -> None:
    strategy = FedAvgM(server_learning_rate=1e38)
    with pytest.raises(RoundError, match="Round 1: the combined weights are not finite"):
        one_round(strategy, [0], {"a": reply([100])})
    assert strategy.state() == {}
