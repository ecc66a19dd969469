"""What is shown never gives away a small group."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.errors import DataError
from bloodnet_model.suppression import shown_groups

COUNTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(0, 40), max_size=8)
MINIMUM = st.integers(0, 30)


@given(COUNTS, MINIMUM)
def test_total_minus_shown_is_nobody_or_enough(counts: dict[str, int], minimum: int) -> None:
    shown = shown_groups(counts, minimum)
    left = sum(counts.values()) - sum(counts[name] for name in shown)
    assert left == 0 or left >= minimum or not shown
    assert all(counts[name] >= minimum for name in shown)


@given(COUNTS, MINIMUM)
def test_no_more_is_hidden_than_must_be(counts: dict[str, int], minimum: int) -> None:
    shown = shown_groups(counts, minimum)
    also_hidden = [name for name in counts if counts[name] >= minimum and name not in shown]
    if also_hidden:
        largest = max(also_hidden, key=lambda name: (counts[name], name))
        assert all((counts[name], name) > (counts[largest], largest) for name in shown)
        assert 0 < sum(counts[name] for name in counts if name not in shown and name != largest) < minimum


@given(COUNTS, MINIMUM)
def test_the_order_of_groups_does_not_matter(counts: dict[str, int], minimum: int) -> None:
    assert shown_groups(dict(reversed(counts.items())), minimum) == shown_groups(counts, minimum)


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"A": 10, "B": 11}, {"A", "B"}),  # all large enough
        ({"A": 9, "B": 50, "C": 20}, {"B"}),  # A alone would be told by subtraction
        ({"A": 9, "B": 50, "C": 1}, {"B"}),  # A and C together are 10
        ({"A": 9, "C": 20, "B": 20}, {"C"}),  # by name where they tie
        ({"A": 0, "B": 50}, {"B"}),  # nobody to hide
        ({"A": 9, "B": 50}, set()),
        ({"A": 1, "B": 2}, set()),
        ({}, set()),
    ],
)
def test_by_hand(counts: dict[str, int], shown: set[str]) -> None:
    assert shown_groups(counts, 10) == shown


def test_a_negative_count_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="group B: a negative number"):
        shown_groups({"A": 3, "B": -1}, 5)
