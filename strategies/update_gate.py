"""What an update must pass before it counts; a refusal has one of the reasons below and costs its site the round."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from strategies.records import Update

REFUSALS: Final[Mapping[str, str]] = {
    "wrong-shape": "the weights have another length than the network",
    "not-finite": "the weights, the losses or the seconds hold NaN or infinity",
    "no-studies": "the site says that it trained on no study",
    "no-steps": "the site says that it made no training step",
    "too-many-studies": "the site claims more training studies than it declared at the roll call",
}


def refusal_reason(update: Update, parameters: int, declared_studies: int) -> str | None:
    """The reason why `update` is refused, a key of `REFUSALS`, or None."""
    if update.weights.shape != (parameters,):
        return "wrong-shape"
    if not np.isfinite(update.weights).all() or not np.isfinite([*update.losses, update.seconds]).all():
        return "not-finite"
    if update.studies < 1:
        return "no-studies"
    if update.steps < 1:
        return "no-steps"
    if update.studies > declared_studies:
        return "too-many-studies"
    return None
