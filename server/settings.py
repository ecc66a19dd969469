"""The settings of one run, as a coordinator writes them and as the run folder keeps them."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import yaml
from pydantic import Field, field_validator, model_validator

from bloodnet_model.errors import SettingsError
from bloodnet_model.settings import ModelSettings, Settings, model_settings, validated
from bloodnet_model.study import SITE_NAME
from server.selection import METRICS as VALIDATION_METRICS
from strategies.update_gate import NORM_RATIO

T = TypeVar("T")

_NESTED: Final = ("strategy_parameters", "site_epochs", "model", "data", "evaluation")
_LIST: Final = "sites"
_PROXIMAL_MU: Final = "proximal_mu"

FIRST: Final = "first"
PREVIOUS: Final = "previous-round"
"""Models of the run itself that `compare_with` may name, beside files."""


class EvaluationSettings(Settings):
    """What the report says beyond the AUC, and which other models the last one is compared with."""

    target_sensitivity: float = Field(0.95, gt=0, le=1, description="a threshold is chosen for it on validation")
    target_specificity: float = Field(0.90, gt=0, le=1, description="and one for it")
    prevalences: tuple[float, ...] = Field(
        (0.05, 0.16), description="shares of patients with hemorrhage for which predictive values are given"
    )
    non_inferiority_margin: float = Field(0.02, ge=0, le=1, description="of AUC: as much less is still not inferior")
    alone: bool = Field(False, description="after the last round, also let every site train alone, to compare")
    compare_with: tuple[str, ...] = Field(
        (),
        description="models to compare the last one with: safetensors files of this shape, `first` for what the run "
        "began with, `previous-round`",
    )

    @field_validator("prevalences")
    @classmethod
    def _shares(cls, prevalences: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < share < 1 for share in prevalences):
            raise ValueError("give shares above 0 and below 1")
        return prevalences


class RunSettings(Settings):
    """Everything a run depends on; `data` is what the launcher says of its data, recorded and not interpreted."""

    strategy: str = "fedavg"
    strategy_parameters: dict[str, float | int | str] = Field(
        default_factory=dict, description="of the strategy, by name; its own defaults unless given"
    )
    rounds: int = Field(8, ge=1)
    local_epochs: int = Field(2, ge=1)
    local_steps: int = Field(0, ge=0, description="most optimiser steps of a site in a round; 0 is whole epochs")
    site_epochs: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="epochs of single sites, by name, in place of local_epochs"
    )
    seed: int = Field(0, ge=0)
    sites: tuple[str, ...] = Field((), description="names of those that take part; whoever is connected unless given")
    minimum_sites: int = Field(1, ge=1, description="fewest usable answers for a round to count")
    participation: float = Field(1.0, gt=0, le=1, description="share of the sites drawn for each round's training")
    wait_s: float = Field(600, ge=0, description="longest wait for sites to connect before the first round")
    deadline_s: float = Field(3600, gt=0, description="longest wait for the answers of one step of a round")
    max_update_norm: float = Field(0.0, ge=0, description="largest change of a site's weights (L2); 0 is no limit")
    norm_ratio: float = Field(
        NORM_RATIO,
        ge=0,
        description="largest change by the root of its steps, in medians of the others'; 0 is any",
    )
    select_by: str = Field("auc", description="metric of the validation patients by which a round is the best")
    patience: int = Field(0, ge=0, description="rounds without a better one after which training ends; 0 is never")
    final_model: Literal["last", "best"] = Field("last", description="the round whose model is tested and kept")
    keep_rounds: bool = Field(True, description="keep each round's weights, so that the run can go on from any")
    keep_updates: bool = Field(False, description="keep the sites' updates of finished rounds in the journal")
    init_weights: str = Field("", description="safetensors file to start from: a ResNet's encoder, or an earlier model")
    mlflow: str = Field("", description="log rounds to an MLflow store: `sqlite` for a file beside the run, or its URI")
    evaluation: EvaluationSettings = EvaluationSettings()
    model: ModelSettings
    data: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, raw: object) -> object:
        """`proximal_mu` was a setting of every run until strategies had parameters, and only FedProx heeded it."""
        if not isinstance(raw, Mapping) or _PROXIMAL_MU not in raw:
            return raw
        now = {key: value for key, value in raw.items() if key != _PROXIMAL_MU}
        if now.get("strategy") == "fedprox":
            given = now.get("strategy_parameters") or {}
            now["strategy_parameters"] = {_PROXIMAL_MU: raw[_PROXIMAL_MU], **given}
        return now

    @field_validator("select_by")
    @classmethod
    def _known_metric(cls, name: str) -> str:
        if name not in VALIDATION_METRICS:
            raise ValueError(f"choose one of {', '.join(VALIDATION_METRICS)}")
        return name

    @field_validator("sites")
    @classmethod
    def _site_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(SITE_NAME, name):
                raise ValueError(f"{name!r} is no site's name; letters, digits and hyphens, at most 64")
        if len(set(names)) < len(names):
            raise ValueError("a name is given twice; keep one of them")
        return tuple(sorted(names))

    @model_validator(mode="after")
    def _enough_sites(self) -> Self:
        if self.sites and self.minimum_sites > len(self.sites):
            raise ValueError(
                f"minimum_sites is {self.minimum_sites}, and only {len(self.sites)} sites are named in `sites`; "
                "lower it, or name more"
            )
        strangers = sorted(self.site_epochs.keys() - set(self.sites)) if self.sites else []
        if strangers:
            raise ValueError(f"site_epochs names {', '.join(strangers)}, which `sites` does not; name the same sites")
        return self

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
    """Flower's flat run configuration: one key a setting, sections as YAML text."""
    flat = settings.model_dump(mode="json")
    nested = {key: yaml.safe_dump(flat.pop(key), default_flow_style=True, width=10**6) for key in (*_NESTED, _LIST)}
    return {key.replace("_", "-"): value for key, value in {**flat, **nested}.items()}


def from_run_config(config: Mapping[str, str | int | float | bool]) -> RunSettings:
    """The settings in Flower's run configuration, as `flwr run -c 'rounds=3 model="preset: base"'` gives them."""
    raw: dict[str, Any] = {key.replace("-", "_"): value for key, value in config.items()}
    for key in _NESTED:
        raw[key] = _yaml(key, str(raw.get(key, "{}")), dict, "mapping; write it like 'name: value'")
    raw[_LIST] = _yaml(_LIST, str(raw.get(_LIST, "[]")), list, "list; write it like '[site-a, site-b]'")
    return run_settings(raw)


def _yaml(key: str, text: str, kind: type[T], what: str) -> T:
    try:
        value = yaml.safe_load(text) or kind()
    except yaml.YAMLError:
        value = None
    if not isinstance(value, kind):
        raise SettingsError(f"{key.replace('_', '-')}: is not a YAML {what}; received {text!r}.")
    return value
