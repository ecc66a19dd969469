"""Objects that are on their way."""

from inspect import signature

import pytest
from flwr.superlink.grid import HttpGrid, http_grid

from server.soon import PULL_OBJECTS, SOON_S, ask_again_soon
from simulation.engines import local


def test_a_grid_over_the_network_asks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_grid, PULL_OBJECTS, getattr(http_grid, PULL_OBJECTS))  # as it is again afterwards
    ask_again_soon(HttpGrid.__new__(HttpGrid))
    assert signature(getattr(http_grid, PULL_OBJECTS)).parameters["initial_backoff"].default == SOON_S


def test_a_grid_on_one_machine_has_nothing_to_ask_for() -> None:
    before = dict(vars(local))
    ask_again_soon(local.LocalGrid([], 1))
    assert vars(local) == before
