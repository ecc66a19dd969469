import pytest

from bloodnet_model.errors import SettingsError
from server.settings import from_run_config, run_settings, to_run_config


def test_defaults_are_a_whole_run() -> None:
    settings = run_settings({})
    assert (settings.strategy, settings.rounds, settings.model.preset) == ("fedavg", 8, "tiny")


def test_run_config_goes_round() -> None:
    settings = run_settings(
        {"rounds": 3, "model": {"preset": "tiny", "training": {"learning_rate": 0.1}}, "data": {"a": 1}}
    )
    config = to_run_config(settings)
    assert all(isinstance(value, str | int | float | bool) for value in config.values())
    assert from_run_config(config) == settings


def test_a_resolved_model_resolves_to_itself() -> None:
    settings = run_settings({"model": {"preset": "base"}})
    assert run_settings(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"rouns": 3}, "rouns: unknown setting; did you mean rounds?"),
        ({"rounds": 0}, "rounds: .*greater than or equal to 1; received 0"),
        ({"model": {"preset": "tiny", "trainin": {}}}, "model.trainin: unknown setting; did you mean training?"),
        ({"model": {"preset": "huge"}}, "'huge' is unknown"),
    ],
)
def test_mistakes_are_named(raw: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        run_settings(raw)


def test_a_model_that_is_no_mapping_is_named() -> None:
    with pytest.raises(SettingsError, match="model: is not a YAML mapping"):
        from_run_config({"model": "tiny"})


def test_parameters_of_the_strategy_go_round_in_the_run_config() -> None:
    settings = run_settings({"strategy": "fedadam", "strategy_parameters": {"tau": 1e-5, "weighting": "equal"}})
    assert from_run_config(to_run_config(settings)) == settings
    with pytest.raises(SettingsError, match="strategy-parameters: is not a YAML mapping"):
        from_run_config({"strategy-parameters": "0.1"})


@pytest.mark.parametrize(
    ("older", "parameters"),
    [
        ({"strategy": "fedprox", "proximal_mu": 0.3}, {"proximal_mu": 0.3}),
        (
            {"strategy": "fedprox", "proximal_mu": 0.3, "strategy_parameters": {"proximal_mu": 0.5}},
            {"proximal_mu": 0.5},
        ),
        ({"strategy": "fedavg", "proximal_mu": 0.01}, {}),
        ({"proximal_mu": 0.01}, {}),
    ],
)
def test_older_files_may_have_proximal_mu(older: dict[str, object], parameters: dict[str, float]) -> None:
    assert run_settings(older).strategy_parameters == parameters
