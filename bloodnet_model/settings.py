"""Settings of the model: frozen, validated, resolved from a preset.

A misspelt or impossible setting fails here, before any work is done, with its place and the nearest known name.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bloodnet_model.errors import SettingsError

Link = Literal["dependent", "detached", "independent", "attention", "shuffled", "single", "oracle"]
Norm = Literal["group", "batch"]
Preset = Literal["tiny", "small", "base"]
DeviceChoice = Literal["auto", "cpu", "gpu"]


class Settings(BaseModel):
    """Base of every settings model in the project."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PreprocessingSettings(Settings):
    """From HU to what the network sees."""

    spacing_mm: float = Field(gt=0, description="pixel size in the plane after resampling")
    rows: int = Field(gt=0, multiple_of=8)
    columns: int = Field(gt=0, multiple_of=8)
    windows_hu: tuple[tuple[float, float], ...] = Field(description="(lowest, highest) HU of each window")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.windows_hu or any(low >= high for low, high in self.windows_hu):
            raise ValueError("windows_hu needs pairs of ascending HU")
        return self


class NetworkSettings(Settings):
    """Shape of the network; see `bloodnet_model.network`."""

    link: Link = "dependent"
    neighbours: int = Field(1, ge=0, description="slices on either side that are seen together with the one classified")
    stem_kernel: Literal[5, 7]
    stem_pool: bool
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    decoder_widths: tuple[int, ...] = Field(description="from the deepest level up to half resolution")
    hidden: int = Field(gt=0)
    norm: Norm = Field("group", description="batch keeps running statistics, which FedBN leaves at the site")
    norm_from: int = Field(description="a norm where a layer has at least this many channels")
    mask_channels: Literal[1, 6] = Field(6, description="blood of any kind alone, or with the five subtypes")
    study_head: Literal["log-sum-exp", "gru-attention"]

    @model_validator(mode="after")
    def _levels(self) -> Self:
        if len(self.blocks) != len(self.widths):
            raise ValueError("blocks and widths need one entry a stage")
        if len(self.decoder_widths) != len(self.widths) - (0 if self.stem_pool else 1):
            raise ValueError("decoder_widths needs one entry for each level between the deepest and half resolution")
        return self


class TrainingSettings(Settings):
    """One optimiser step and its schedule."""

    learning_rate: float = Field(gt=0)
    final_learning_rate_share: float = Field(0.05, ge=0, le=1)
    warmup_steps: int = Field(20, ge=0)
    weight_decay: float = Field(1e-2, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    studies_per_step: int = Field(gt=0)
    slices_per_study: int = Field(gt=0)
    positive_slices_per_study: int = Field(ge=0)
    mask_weight: float = Field(1.5, ge=0)
    slice_weight: float = Field(1.0, ge=0)
    study_weight: float = Field(0.5, ge=0)
    mask_positive_weight: float = Field(10.0, gt=0)
    positive_study_share: float = Field(
        0.25, ge=0, lt=1, description="of an epoch's draws, reached by repeating positive studies; 0 repeats none"
    )
    ema_decay: float = Field(0.0, ge=0, lt=1, description="of the average of a round's weights; 0 takes the last ones")
    flip: bool = Field(True, description="half of the studies are seen left for right")
    rotation_degrees: float = Field(6.0, ge=0, le=45, description="largest turn of a study, either way; 0 for none")
    scale_share: float = Field(0.05, ge=0, le=0.5, description="largest change of a study's size, either way")
    shift_share: float = Field(0.04, ge=0, le=0.5, description="largest shift along rows and columns, either way")
    brightness_jitter: float = Field(0.04, ge=0, description="standard deviation, of a window 2 wide, by slice")
    contrast_jitter: float = Field(0.04, ge=0, description="standard deviation of the factor, by study")
    erased_share: float = Field(0.0, ge=0, lt=1, description="largest side of a box filled with air, of the image's")


class ModelSettings(Settings):
    """Everything that all sites of a run must agree on."""

    preset: Preset
    preprocessing: PreprocessingSettings
    network: NetworkSettings
    training: TrainingSettings


PRESETS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "tiny": {
        "preprocessing": {"spacing_mm": 2.4, "rows": 88, "columns": 72, "windows_hu": ((0, 80), (-20, 180))},
        "network": {
            "stem_kernel": 5,
            "stem_pool": False,
            "widths": (16, 32, 64),
            "blocks": (1, 1, 1),
            "decoder_widths": (32, 16),
            "hidden": 64,
            "norm_from": 64,
            "study_head": "log-sum-exp",
        },
        "training": {
            "learning_rate": 6e-3,
            "studies_per_step": 2,
            "slices_per_study": 6,
            "positive_slices_per_study": 3,
        },
    },
    "small": {
        "preprocessing": {
            "spacing_mm": 1.2,
            "rows": 192,
            "columns": 160,
            "windows_hu": ((0, 80), (-20, 180), (-800, 2000)),
        },
        "network": {
            "stem_kernel": 7,
            "stem_pool": True,
            "widths": (32, 64, 128, 256),
            "blocks": (2, 2, 2, 2),
            "decoder_widths": (128, 64, 32, 32),
            "hidden": 128,
            "norm_from": 64,
            "study_head": "gru-attention",
        },
        "training": {
            "learning_rate": 2e-3,
            "studies_per_step": 2,
            "slices_per_study": 8,
            "positive_slices_per_study": 4,
        },
    },
    "base": {
        "preprocessing": {
            "spacing_mm": 0.9,
            "rows": 256,
            "columns": 256,
            "windows_hu": ((0, 80), (-20, 180), (-800, 2000)),
        },
        "network": {
            "stem_kernel": 7,
            "stem_pool": True,
            "widths": (64, 128, 256, 512),
            "blocks": (3, 4, 6, 3),
            "decoder_widths": (256, 128, 64, 32),
            "hidden": 256,
            "norm_from": 1,
            "study_head": "gru-attention",
        },
        "training": {
            "learning_rate": 5e-4,
            "studies_per_step": 2,
            "slices_per_study": 12,
            "positive_slices_per_study": 6,
        },
    },
}


def model_settings(preset: str = "tiny", **overrides: Mapping[str, Any]) -> ModelSettings:
    """Settings of `preset` with single entries of its sections replaced.

    >>> model_settings("tiny", network={"link": "independent"}).network.link
    'independent'
    """
    if preset not in PRESETS:
        raise SettingsError(f"preset: {preset!r} is unknown; choose one of {', '.join(PRESETS)}.")
    raw: dict[str, Any] = {"preset": preset, **PRESETS[preset]}
    for section, entries in overrides.items():
        raw[section] = {**raw.get(section, {}), **entries} if isinstance(entries, Mapping) else entries
    return validated(ModelSettings, raw, where="model")


S = TypeVar("S", bound=Settings)


def validated(kind: type[S], raw: Mapping[str, Any], where: str = "") -> S:
    """`kind(**raw)`, its first complaint said in one sentence with its place; raises SettingsError."""
    try:
        return kind.model_validate(dict(raw))
    except ValidationError as error:
        raise SettingsError(_sentence(kind, error, where)) from None


def _sentence(kind: type[Settings], error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(part for part in [where, *map(str, first["loc"])] if part)
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown setting; {_hint(str(first['loc'][-1]), sorted(_fields(kind, first['loc'][:-1])))}"
    if first["type"] == "missing":
        return f"{place}: this setting is missing; add it."
    return f"{place}: {first['msg'].removeprefix('Value error, ')}; received {first['input']!r}."


def _hint(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(known)}." if known else "none is known here, leave it out."


def _fields(kind: type[Settings], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the settings model that `path` leads to."""
    for part in path:
        field = kind.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, Settings):
            return []
        kind = field.annotation
    return list(kind.model_fields)
