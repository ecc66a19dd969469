import pytest

from bloodnet_model.errors import SettingsError
from bloodnet_model.settings import PRESETS, ModelSettings, Settings, model_settings, validated


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid(preset: str) -> None:
    assert model_settings(preset).preset == preset


def test_an_override_replaces_one_entry_alone() -> None:
    settings = model_settings("tiny", training={"learning_rate": 0.5})
    assert settings.training.learning_rate == 0.5
    assert settings.training.slices_per_study == PRESETS["tiny"]["training"]["slices_per_study"]


def test_a_misspelt_setting_names_its_place_and_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"model\.training\.learning_rat: unknown setting; did you mean learning_r"):
        model_settings("tiny", training={"learning_rat": 0.5})


def test_settings_that_have_none_say_so() -> None:
    with pytest.raises(SettingsError, match=r"^here\.speed: unknown setting; none is known here, leave it out\.$"):
        validated(Settings, {"speed": 1}, where="here")


def test_an_impossible_value_is_shown() -> None:
    with pytest.raises(SettingsError, match=r"model\.training\.learning_rate: .*greater than 0; received -1"):
        model_settings("tiny", training={"learning_rate": -1})


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(SettingsError, match="'huge' is unknown; choose one of tiny, small, base"):
        model_settings("huge")


def test_windows_must_ascend() -> None:
    with pytest.raises(SettingsError, match="ascending HU"):
        model_settings("tiny", preprocessing={"windows_hu": ((80, 0),)})


def test_settings_survive_json() -> None:
    settings = model_settings("base", network={"link": "independent"})
    assert validated(ModelSettings, settings.model_dump(mode="json")) == settings
