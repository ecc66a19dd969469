"""Scores of whole studies, in bounded memory whatever their number of slices."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from bloodnet_model.batches import slice_stack, unpack_mask
from bloodnet_model.device import autocast
from bloodnet_model.network import BloodNet, shown_to_oracle
from bloodnet_model.settings import ModelSettings
from bloodnet_model.study import Study

SLICES_AT_ONCE: Final = 32


@dataclass(frozen=True)
class Prediction:
    """What the network says of one study."""

    probabilities: NDArray[np.float64]  # (6,) of the study, in the order of CLASSES
    slice_probabilities: NDArray[np.float64]  # (slices, 6)
    mask: NDArray[np.bool_]  # (slices, rows / 2, columns / 2), blood of any kind


@torch.inference_mode()
def predict_study(
    network: BloodNet, study: Study, settings: ModelSettings, slices_at_once: int = SLICES_AT_ONCE
) -> Prediction:
    """Classify and segment one study from all its slices; does not depend on any other study.

    Memory is bounded by `slices_at_once`, on which no score depends, except with the control `shuffled`.
    """
    network.eval()
    device = next(network.parameters()).device
    outputs = []
    for start in range(0, study.slices, slices_at_once):
        chosen = np.arange(start, min(start + slices_at_once, study.slices))
        with autocast(device):
            masks = shown_to_oracle(network, *_drawn(study, chosen, device))
            outputs.append(network(slice_stack(study, chosen, settings.network.neighbours).to(device), masks))
    features = torch.cat([output.features for output in outputs])
    slice_logits = torch.cat([output.slice_logits for output in outputs])
    study_logits = network.study_logits(features[None], slice_logits[None])[0]
    mask = torch.cat([output.mask_logits[:, 0] > 0 for output in outputs])
    return Prediction(
        torch.sigmoid(study_logits.double()).cpu().numpy(),
        torch.sigmoid(slice_logits.double()).cpu().numpy(),
        mask.cpu().numpy(),
    )


def _drawn(study: Study, chosen: NDArray[np.int64], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    known = torch.from_numpy(np.array(study.mask_known[chosen]))
    return unpack_mask(study.mask_bits[chosen]).to(device), known.to(device)


def dice(predicted: NDArray[np.bool_], study: Study) -> float | None:
    """Dice of the blood in a whole study; None where no blood was drawn or a slice's mask is unknown."""
    true = unpack_mask(np.asarray(study.mask_bits))[:, 0].numpy() > 0
    if not true.any() or not study.mask_known.all():
        return None
    return float(2 * (predicted & true).sum() / (predicted.sum() + true.sum()))
