"""The settings of one run, as a coordinator writes them and as the run folder keeps them."""

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import Field, field_validator

from bloodnet_model.errors import SettingsError
from bloodnet_model.settings import ModelSettings, Settings, model_settings, validated


class RunSettings(Settings):
    """Everything a run depends on; `data` is what the launcher says of its data, recorded and not interpreted."""

    strategy: str = "fedavg"
    proximal_mu: float = Field(0.01, ge=0, description="FedProx's mu; other strategies ignore it")
    rounds: int = Field(8, ge=1)
    local_epochs: int = Field(2, ge=1)
    seed: int = Field(0, ge=0)
    minimum_sites: int = Field(1, ge=1, description="fewest usable answers for a round to count")
    deadline_s: float = Field(3600, gt=0, description="longest wait for the answers of one step of a round")
    init_weights: str = Field("", description="safetensors file to start from: a ResNet's encoder, or an earlier model")
    model: ModelSettings
    data: dict[str, Any] = Field(default_factory=dict)

    @field_validator("model", mode="before")
    @classmethod
    def _resolve_preset(cls, value: object) -> object:
        return resolve_model(value) if isinstance(value, Mapping) else value


def resolve_model(raw: Mapping[str, Any]) -> ModelSettings:
    """`{preset: tiny, training: {…}}` with every entry that is not given taken from the preset."""
    return model_settings(
        str(raw.get("preset", "tiny")), **{key: value for key, value in raw.items() if key != "preset"}
    )


def run_settings(raw: Mapping[str, Any]) -> RunSettings:
    """Validated settings of `raw`; raises SettingsError with the place of the mistake."""
    return validated(RunSettings, {"model": {}, **raw})


def to_run_config(settings: RunSettings) -> dict[str, str | int | float | bool]:
    """Flower's flat run configuration: one key a setting, `model` and `data` as YAML text."""
    flat = settings.model_dump(mode="json")
    nested = {key: yaml.safe_dump(flat.pop(key), default_flow_style=True, width=10**6) for key in ("model", "data")}
    return {key.replace("_", "-"): value for key, value in {**flat, **nested}.items()}


def from_run_config(config: Mapping[str, str | int | float | bool]) -> RunSettings:
    """The settings in Flower's run configuration, as `flwr run -c 'rounds=3 model="preset: base"'` gives them."""
    raw: dict[str, Any] = {key.replace("-", "_"): value for key, value in config.items()}
    for key in ("model", "data"):
        raw[key] = _mapping(key, str(raw.get(key, "{}")))
    return run_settings(raw)


def _mapping(key: str, text: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        value = None
    if not isinstance(value, dict):
        raise SettingsError(f"{key}: is not a YAML mapping; write it like 'preset: tiny'; received {text!r}.")
    return value
