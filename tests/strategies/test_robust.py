"""Trimmed mean, median and Krum by numbers computed by hand, and against sites that send anything."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.errors import RoundError
from strategies.aggregation import squared_distances
from strategies.krum import Krum, scores
from strategies.median import Median
from strategies.round_strategy import RoundStrategy
from strategies.trimmed_mean import TrimmedMean
from tests.strategies.updates import combined, one_round, reply, update

ANY_FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def test_trimmed_mean_by_hand() -> None:
    sites = [update(weights) for weights in ([1, 10], [2, -9], [3, 5], [100, 6], [4, 7])]
    assert combined(TrimmedMean(), [0, 0], sites) == [3, 6]  # of 2, 3, 4 and of 5, 6, 7
    assert combined(TrimmedMean(faulty_sites=2), [0, 0], sites) == [3, 6]


def test_median_by_hand() -> None:
    sites = [update(weights, studies) for weights, studies in (([1, 9], 1), ([100, 8], 900), ([3, 7], 1), ([2, 0], 1))]
    assert combined(Median(), [0, 0], sites) == [2.5, 7.5]
    assert combined(Median(), [0, 0], sites[:3]) == [3, 8]
    assert combined(Median(), [0, 0], [*sites, update([50, 1])]) == [3, 7]
    assert combined(Median(), [0, 0], sites[:2]) == [50.5, 8.5]


def test_krum_by_hand() -> None:
    sites = [update([value]) for value in (0, 1, 2.5, 100, 2)]
    # squares to the two nearest: 1 + 4, 1 + 1, 0.25 + 2.25, many, 0.25 + 1
    distances = squared_distances([site.weights for site in sites])
    assert scores(distances, 1).tolist() == [5, 2, 2.5, 97.5**2 + 98**2, 1.25]
    assert combined(Krum(), [0], sites) == [2]
    assert combined(Krum(selected_sites=3), [0], sites) == pytest.approx([(2 + 1 + 2.5) / 3])


def test_of_sites_that_score_alike_krum_takes_the_first_by_name() -> None:
    assert combined(Krum(), [0], [update([value]) for value in (100, 4, 3, 2, 1)]) == [3]
    assert combined(Krum(), [0], [update([value]) for value in (1, 2, 3, 4, 100)]) == [2]


def test_krum_sees_small_differences_of_large_weights() -> None:
    sites = [update([4096 + value]) for value in (0, 0.125, 0.25, 64, 1)]
    assert squared_distances([site.weights for site in sites])[0].tolist() == [0, 0.125**2, 0.25**2, 64**2, 1]
    assert combined(Krum(), [0], sites) == [4096.125]


@pytest.mark.parametrize(
    ("strategy", "sentence"),
    [
        (TrimmedMean(faulty_sites=2), "TrimmedMean with faulty_sites=2 needs the updates of 5 sites, and there are 4"),
        (Krum(), "Krum with faulty_sites=1, selected_sites=1 needs the updates of 5 sites, and there are 4"),
        (Krum(faulty_sites=0, selected_sites=5), "selected_sites=5 needs the updates of 5 sites, and there are 4"),
    ],
)
def test_too_few_sites_are_said_and_not_made_do_with(strategy: RoundStrategy, sentence: str) -> None:
    four = {name: reply([1]) for name in "abcd"}
    with pytest.raises(RoundError, match=f"{re.escape(sentence)}; lower its parameters"):
        one_round(strategy, [0], four)
    one_round(strategy, [0], {**four, "e": reply([1])})


@st.composite
def federations_with_faults(draw: st.DrawFn) -> tuple[list[list[float]], list[list[float]], list[int]]:
    """Honest weights, fewer faulty ones, and an order in which all stand together."""
    faulty = draw(st.integers(1, 3))
    site = st.lists(ANY_FLOAT32, min_size=2, max_size=2)
    honest = draw(st.lists(site, min_size=faulty + 1, max_size=6))
    sent = draw(st.lists(site, min_size=faulty, max_size=faulty))
    return honest, sent, draw(st.permutations(range(len(honest) + faulty)))


@given(federations_with_faults())
def test_faulty_sites_move_no_weight_past_the_honest(
    drawn: tuple[list[list[float]], list[list[float]], list[int]],
) -> None:
    honest, sent, order = drawn
    updates = [update([*honest, *sent][site]) for site in order]
    for strategy in (TrimmedMean(faulty_sites=len(sent)), Median()):
        weights, _ = strategy.combine(np.zeros(2, np.float32), updates, {})
        rounded = weights.astype(np.float32)
        assert (np.min(np.array(honest, np.float32), axis=0) <= rounded).all()
        assert (rounded <= np.max(np.array(honest, np.float32), axis=0)).all()


@given(st.lists(ANY_FLOAT32, min_size=5, max_size=5), st.integers(0, 4))
def test_krum_gives_what_a_site_sent(values: list[float], place: int) -> None:
    (chosen,) = combined(Krum(), [0], [update([value]) for value in values])
    assert chosen in [float(np.float32(value)) for value in values]
    near = [0.0, 0.25, 0.5, 0.75]
    near.insert(place, 1e6 + abs(values[0]))
    assert combined(Krum(), [0], [update([value]) for value in near])[0] < 1


def test_krum_takes_an_honest_update_whatever_pair_the_faulty_site_stands_beside() -> None:
    honest = np.random.default_rng(0).normal(size=(6, 20))
    for far, place in itertools.product((3.0, 30.0, 3e30), range(7)):
        sites = [update(row) for row in np.insert(honest, place, honest[0] + far, axis=0)]
        assert max(abs(np.array(combined(Krum(), [0] * 20, sites)))) < 5
