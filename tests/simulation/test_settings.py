"""Flags laid over a settings file."""

import pytest

from bloodnet_model.errors import SettingsError
from simulation.settings import parameters_by_strategy, parameters_of, with_flags


def test_a_flag_changes_its_own_setting_and_leaves_its_section() -> None:
    raw = {"rounds": 3, "model": {"preset": "tiny", "network": {"link": "dependent", "hidden": 32}}}
    merged = with_flags(raw, {"model.network.link": "detached", "rounds": None})
    assert merged == {"rounds": 3, "model": {"preset": "tiny", "network": {"link": "detached", "hidden": 32}}}
    assert raw["model"] == {"preset": "tiny", "network": {"link": "dependent", "hidden": 32}}


def test_another_preset_takes_the_files_model_out() -> None:
    raw = {"model": {"preset": "tiny", "network": {"hidden": 32}}}
    merged = with_flags(raw, {"model.preset": "base", "model.network.link": "detached"})
    assert merged == {"model": {"preset": "base", "network": {"link": "detached"}}}


def test_parameters_of_a_strategy_are_read_from_flags() -> None:
    assert parameters_of(["server_momentum=0.9", "weighting=equal", "faulty_sites=2"], None) == {
        "strategy_parameters.server_momentum": 0.9,
        "strategy_parameters.weighting": "equal",
        "strategy_parameters.faulty_sites": 2,
    }
    assert parameters_of([], 0.25) == {"strategy_parameters.proximal_mu": 0.25}


@pytest.mark.parametrize(
    ("texts", "mu", "sentence"),
    [
        (["server_momentum"], None, "write it as NAME=VALUE"),
        (["=0.9"], None, "write it as NAME=VALUE"),
        (["tau="], None, "write it as NAME=VALUE"),
        (["a.b=1"], None, "write it as NAME=VALUE"),
        (["tau=1", "tau=2"], None, "tau: is given twice"),
        (["proximal_mu=1"], 0.1, "proximal_mu: is given twice"),
    ],
)
def test_parameters_that_cannot_be_read_are_named(texts: list[str], mu: float | None, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        parameters_of(texts, mu)


def test_parameters_of_compared_strategies_are_read_from_flags() -> None:
    flags = parameters_by_strategy(["fedprox.proximal_mu=0.3", "trimmed-mean.trimmed_share=0.1"])
    merged = with_flags({"comparison": {"parameters": {"fedprox": {"proximal_mu": 0.1}}}}, flags)
    assert merged["comparison"]["parameters"] == {
        "fedprox": {"proximal_mu": 0.3},
        "trimmed-mean": {"trimmed_share": 0.1},
    }
    for text in ("proximal_mu=0.3", "fedprox.proximal_mu", "fedprox.=1", ".a=1"):
        with pytest.raises(SettingsError, match=r"write it as STRATEGY\.NAME=VALUE"):
            parameters_by_strategy([text])


def test_another_strategy_takes_the_files_parameters_out() -> None:
    raw = {"strategy": "fedadam", "strategy_parameters": {"tau": 0.1, "beta_1": 0.5}}
    assert with_flags(raw, {"strategy_parameters.tau": 0.2})["strategy_parameters"] == {"tau": 0.2, "beta_1": 0.5}
    assert with_flags(raw, {"strategy": "fedadam"}) == raw
    merged = with_flags(raw, {"strategy": "fedavgm", "strategy_parameters.server_momentum": 0.5})
    assert merged == {"strategy": "fedavgm", "strategy_parameters": {"server_momentum": 0.5}}
