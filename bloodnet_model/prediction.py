"""Scores of whole studies, in bounded memory whatever their number of slices."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bloodnet_model.batches import sent, slice_stack, unpack_mask
from bloodnet_model.device import autocast, free_memory
from bloodnet_model.network import BloodNet, shown_to_oracle
from bloodnet_model.settings import ModelSettings
from bloodnet_model.study import Study

SLICES_AT_ONCE: Final = 32
"""On a CPU, whose memory is not asked for."""
_MOST_AT_ONCE: Final = 64
_BYTES_A_PIXEL: Final = 5  # of the input, times the channels of the first width: an estimate, from above


@dataclass(frozen=True)
class Prediction:
    """What the network says of one study."""

    probabilities: NDArray[np.float64]  # (6,) of the study, in the order of CLASSES
    slice_probabilities: NDArray[np.float64]  # (slices, 6)
    mask: NDArray[np.bool_]  # (slices, rows / 2, columns / 2), blood of any kind


@torch.inference_mode()
def predict_study(
    network: BloodNet, study: Study, settings: ModelSettings, slices_at_once: int | None = None
) -> Prediction:
    """Classify and segment one study from all its slices; does not depend on any other study.

    Memory is bounded by `slices_at_once`, chosen by what is free unless given, and halved where it does not fit. No
    score depends on it, but for noise of float sums, except with the control `shuffled`.
    """
    network.eval()
    at_once = slices_at_once or _slices_at_once(settings, next(network.parameters()).device)
    while True:
        try:
            return _predicted(network, study, settings, at_once)
        except torch.OutOfMemoryError:
            if at_once == 1:
                raise
        at_once //= 2
        torch.cuda.empty_cache()


def _predicted(network: BloodNet, study: Study, settings: ModelSettings, at_once: int) -> Prediction:
    device = next(network.parameters()).device
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for start in range(0, study.slices, at_once):
        chosen = np.arange(start, min(start + at_once, study.slices))
        with autocast(device):
            stack = slice_stack(study, chosen, settings.network.neighbours, device)
            output = network(stack, _true_masks(network, study, chosen))
        parts.append((output.features, output.slice_logits, output.mask_logits[:, 0] > 0))  # the rest is freed
    features, slice_logits, mask = (torch.cat(of_a_kind) for of_a_kind in zip(*parts, strict=True))
    study_logits = network.study_logits(features[None], slice_logits[None])[0]
    return Prediction(
        torch.sigmoid(study_logits.double()).cpu().numpy(),
        torch.sigmoid(slice_logits.double()).cpu().numpy(),
        mask.cpu().numpy(),
    )


def _slices_at_once(settings: ModelSettings, device: torch.device) -> int:
    free = free_memory(device)
    if free is None:
        return SLICES_AT_ONCE
    grid = settings.preprocessing
    return slices_that_fit(free, _BYTES_A_PIXEL * settings.network.widths[0] * grid.rows * grid.columns)


def slices_that_fit(free_bytes: int, bytes_a_slice: int) -> int:
    """The power of two, from 1 to 64, that takes at most half of the free memory."""
    return min(_MOST_AT_ONCE, 1 << max(0, (free_bytes // (2 * bytes_a_slice)).bit_length() - 1))


def _true_masks(network: BloodNet, study: Study, chosen: NDArray[np.int64]) -> Tensor | None:
    if network.link != "oracle":
        return None
    device = next(network.parameters()).device
    known = sent(np.array(study.mask_known[chosen]), device)
    return shown_to_oracle(network, unpack_mask(study.mask_bits[chosen], device), known)


def dice(predicted: NDArray[np.bool_], study: Study) -> float | None:
    """Dice of the blood in a whole study; None where no blood was drawn or a slice's mask is unknown."""
    true = unpack_mask(np.asarray(study.mask_bits))[:, 0].numpy() > 0
    if not true.any() or not study.mask_known.all():
        return None
    return float(2 * (predicted & true).sum() / (predicted.sum() + true.sum()))
