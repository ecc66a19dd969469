"""How the ways of a comparison are called, and when a training counts as done."""

import json
from pathlib import Path
from typing import Any

import pytest

from bloodnet_model.errors import SettingsError
from bloodnet_model.settings import model_settings
from server.settings import RunSettings
from simulation.comparison.run import comparison_settings
from simulation.comparison.ways import Training, Way, way_names, ways

MEDIAN = "flwr.serverapp.strategy:FedMedian"


def test_any_flower_strategy_may_be_compared_even_as_the_reference(tmp_path: Path) -> None:
    settings = comparison_settings({"comparison": {"strategies": (MEDIAN, " fedprox", "fedavg")}})
    those = ways(settings.comparison, settings.simulation.run, {"a": Path("a"), "b": Path("b")}, tmp_path)
    assert [way.name for way in those][:3] == ["FedMedian", "fedprox", "fedavg"]
    assert [way.settings.strategy for way in those][:3] == [MEDIAN, "fedprox", "fedavg"]
    assert [way.site for way in those] == [""] * 5 + ["a", "b"]


@pytest.mark.parametrize(
    "raw",
    [
        {"comparison": {"parameters": {"fedprox": {"proximal_mu": 0.3}}}},
        {"strategy": "fedprox", "strategy_parameters": {"proximal_mu": 0.3}},
        {"strategy": "fedavg", "proximal_mu": 0.3},  # an older file
    ],
)
def test_each_strategy_has_parameters_of_its_own(raw: dict[str, Any], tmp_path: Path) -> None:
    settings = comparison_settings(raw)
    those = ways(settings.comparison, settings.simulation.run, {"a": Path("a"), "b": Path("b")}, tmp_path)
    assert [way.settings.strategy_parameters for way in those] == [{}, {"proximal_mu": 0.3}, {}, {}, {}, {}]


def test_mistakes_in_parameters_are_said_before_any_work() -> None:
    with pytest.raises(SettingsError, match="median is not compared"):
        comparison_settings({"comparison": {"parameters": {"median": {}}}})
    with pytest.raises(SettingsError, match="did you mean proximal_mu"):
        comparison_settings({"comparison": {"parameters": {"fedprox": {"proximal_my": 1}}}})


@pytest.mark.parametrize(
    ("strategies", "names"),
    [
        (["fedavg", MEDIAN], ["fedavg", "FedMedian"]),
        (["mine:FedMedian", MEDIAN], ["mine.FedMedian", "flwr.serverapp.strategy.FedMedian"]),
        (["mine:fedavg", "fedavg"], ["mine.fedavg", "fedavg"]),
        (["mine:central"], ["mine.central"]),
    ],
)
def test_no_two_ways_share_a_name(strategies: list[str], names: list[str]) -> None:
    assert way_names(strategies) == names


@pytest.mark.parametrize(
    ("metrics", "done"),
    [
        ({"test": {}, "run": {"strategy": MEDIAN}}, True),
        ({"test": None, "run": {"strategy": MEDIAN}}, False),
        ({"test": {}, "run": {"strategy": "mine:FedMedian"}}, False),
        (None, False),
    ],
)
def test_a_training_of_another_strategy_does_not_count(tmp_path: Path, metrics: Any, done: bool) -> None:
    way = Way("FedMedian", (), RunSettings(model=model_settings("tiny"), strategy=MEDIAN))
    if metrics is not None:
        (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert Training(way, 0, tmp_path).is_done() is done
