"""Training until validation rises no more: a steady learning rate while it does, then a short cosine down.

A fixed short budget would compare how fast networks learn, not how well. Warm-up, stable rate, decay: Hu et al.,
MiniCPM, arXiv 2404.06395.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Final, Self

import numpy as np
from pydantic import Field

from bloodnet_model.network import BloodNet
from bloodnet_model.schedule import Schedule, steps_per_epoch
from bloodnet_model.settings import ModelSettings, Settings
from bloodnet_model.study import Study
from bloodnet_model.training import train_round

Validate = Callable[[BloodNet], tuple[float, float | None]]
"""AUC and Dice of a network on the validation patients; no Dice where nobody drew blood."""

_CHANCE: Final = 0.6
"""Below this AUC a flat curve is the start of training, not its end."""


class PlateauSettings(Settings):
    """When training ends."""

    learning_rate_share: float = Field(
        1 / 3, gt=0, description="of the preset's: at the full rate so many units died that an arm could stay at chance"
    )
    warmup_steps: int = Field(100, ge=0)
    check_steps: int = Field(400, ge=1, description="optimiser steps between two looks at validation")
    window: int = Field(3, ge=1, description="looks over whose AUC is averaged: single ones are noisy")
    patience: int = Field(3, ge=1, description="looks without a gain after which the plateau is reached")
    gain: float = Field(0.005, ge=0, description="of mean AUC; less is none")
    maximum_steps: int = Field(6000, ge=1, description="at the steady learning rate, plateau or not")
    decay_steps: int = Field(1000, ge=1, description="at a falling learning rate, after that")


@dataclass(frozen=True)
class Check:
    """One look at validation, after `step` optimiser steps."""

    step: int
    auc: float
    dice: float | None


@dataclass(frozen=True)
class Curve:
    """How validation went; `settled` tells a plateau from the end of patience."""

    checks: tuple[Check, ...]
    settled: bool

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        raw = json.loads(text)
        return cls(tuple(Check(**check) for check in raw["checks"]), raw["settled"])


def train_to_plateau(
    network: BloodNet,
    studies: Sequence[Study],
    validate: Validate,
    settings: ModelSettings,
    plateau: PlateauSettings,
    rng: np.random.Generator,
) -> Curve:
    """Train `network` in place. Raises as `train_round` does."""
    epoch = steps_per_epoch(len(studies), settings.training.studies_per_step)
    epochs = max(1, round(plateau.check_steps / epoch))
    rate = plateau.learning_rate_share * settings.training.learning_rate
    settings = _with_schedule(settings, learning_rate=rate, warmup_steps=plateau.warmup_steps)
    stable = _with_schedule(settings, final_learning_rate_share=1.0)
    checks: list[Check] = []
    state, step, stage = None, 0, 0

    def looked() -> None:
        checks.append(Check(step, *validate(network)))

    while not is_flat(checks, plateau) and step < plateau.maximum_steps:
        stage += 1
        result = train_round(network, studies, stable, Schedule(stage, stage, epochs), rng, state)
        state, step = result.optimizer_state, step + result.steps
        looked()
    settled = is_flat(checks, plateau)
    falling = _with_schedule(settings, warmup_steps=0)
    decay = Schedule(1, 1, max(1, round(plateau.decay_steps / epoch)))
    step += train_round(network, studies, falling, decay, rng, state).steps
    looked()
    return Curve(tuple(checks), settled)


def is_flat(checks: Sequence[Check], plateau: PlateauSettings) -> bool:
    """Whether the mean AUC is above chance and its last looks brought no gain over the best before them."""
    aucs, window = [check.auc for check in checks], plateau.window
    means = [fmean(aucs[end - window : end]) for end in range(window, len(aucs) + 1)]
    before, last = means[: -plateau.patience], means[-plateau.patience :]
    return bool(before) and max(last) > _CHANCE and max(last) - max(before) < plateau.gain


def _with_schedule(settings: ModelSettings, **changes: float) -> ModelSettings:
    return settings.model_copy(update={"training": settings.training.model_copy(update=changes)})
