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
