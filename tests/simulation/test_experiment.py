"""Which kept results an experiment goes on with."""

from typing import Any

from simulation.experiment import goes_on
from simulation.settings import simulation_settings

NOW: dict[str, Any] = {"ablation": {"seeds": 5}, **simulation_settings({}).run.model_dump(mode="json")}


def test_the_same_settings_are_gone_on_with_also_for_more_seeds() -> None:
    assert goes_on(NOW, NOW)
    assert goes_on({**NOW, "ablation": {"seeds": 3}}, NOW)
    assert not goes_on({**NOW, "rounds": 3}, NOW)
    assert not goes_on({**NOW, "ablation": {"seeds": 5, "rule": 1}}, NOW)
    assert not goes_on({key: value for key, value in NOW.items() if key != "ablation"}, NOW)


def test_a_folder_from_before_strategies_had_parameters_is_gone_on_with() -> None:
    older = {**NOW, "proximal_mu": 0.01}
    del older["strategy_parameters"]
    assert goes_on(older, NOW)
    assert not goes_on({**older, "strategy": "fedprox"}, NOW)
