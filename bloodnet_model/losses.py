"""The joint loss: masks, slice labels and study labels, each where present.

Sites differ in which labels they have. A label nobody gave (-1) and a mask nobody drew contribute neither loss nor
gradient; a slice labelled negative is an exact empty mask. A slice labelled positive without a mask says that there
is blood somewhere in it: the smooth maximum of its mask is trained towards that.
"""

import math
from functools import cache
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bloodnet_model.settings import TrainingSettings

CLASS_WEIGHTS: Final = (2.0, 0.6, 0.6, 0.6, 0.6, 0.6)
"""`any` counts as much as three subtypes: it is what the study score is read from."""

_SMALL_LESION_SHARE = 0.01  # of a slice's pixels
_MASK_BCE_SHARE = 5.0  # a pixelwise mean is small beside a Dice term of order one


class Losses(NamedTuple):
    """Scalars; `total` is the weighted sum that is minimised."""

    total: Tensor
    mask: Tensor
    slices: Tensor
    study: Tensor


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Class-weighted cross-entropy over the known labels, both (n, 6); 0 where none is known."""
    weights = _class_weights(logits.device) * (labels >= 0)
    each = F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), reduction="none")
    return (each * weights).sum() / weights.sum().clamp(min=1e-6)


def mask_loss(mask_logits: Tensor, masks: Tensor, known: Tensor, positive_weight: float) -> Tensor:
    """Cross-entropy on all slices whose mask is known, and Dice of `any` on those of them that hold blood.

    mask_logits, masks: (n, 1 or 6, rows, columns); known: (n,). Dice stays off empty slices: there it would reward a
    mask head that predicts nothing, the plateau on which training starts.
    """
    weight = torch.full((), positive_weight, device=masks.device)
    each = F.binary_cross_entropy_with_logits(mask_logits, masks, pos_weight=weight, reduction="none")
    each = each * _said_by_mask(masks)
    cross_entropy = _mean_where(each.mean((1, 2, 3)), known)
    predicted, true = torch.sigmoid(mask_logits[:, 0]), masks[:, 0]
    overlap = (predicted * true).sum((1, 2))
    area = true.sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (predicted.sum((1, 2)) + area + 1)
    return _MASK_BCE_SHARE * cross_entropy + _mean_where(dice, known * (area > 0))


def somewhere_loss(mask_logits: Tensor, slice_labels: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of "there is such blood somewhere in this slice" where the slice says so and no mask was drawn.

    mask_logits: (n, classes, rows, columns); slice_labels: (n, classes) in {0, 1, -1}; known: (n,). The log-sum-exp
    is taken over the expected area of a small lesion, so that one certain pixel does not make a lesion.
    """
    flat = mask_logits.flatten(2)
    somewhere = torch.logsumexp(flat, -1) - math.log(max(1.0, _SMALL_LESION_SHARE * flat.shape[-1]))
    told = (slice_labels == 1) * (1 - known)[:, None]
    return _mean_where(F.softplus(-somewhere), told)


def joint_loss(
    mask_logits: Tensor,
    slice_logits: Tensor,
    study_logits: Tensor,
    masks: Tensor,
    mask_known: Tensor,
    slice_labels: Tensor,
    study_labels: Tensor,
    settings: TrainingSettings,
) -> Losses:
    """All three parts of the loss of one batch, weighted by the settings."""
    classes = mask_logits.shape[1]  # one or six
    mask = mask_loss(mask_logits, masks[:, :classes], mask_known, settings.mask_positive_weight)
    mask = mask + somewhere_loss(mask_logits, slice_labels[:, :classes], mask_known)
    slices = label_loss(slice_logits, slice_labels)
    study = label_loss(study_logits, study_labels)
    total = settings.mask_weight * mask + settings.slice_weight * slices + settings.study_weight * study
    return Losses(total, mask, slices, study)


@cache
def _class_weights(device: torch.device) -> Tensor:
    """(6,) on `device`, sent there once: a GPU would be waited for each time."""
    return torch.tensor(CLASS_WEIGHTS, device=device)


def _said_by_mask(masks: Tensor) -> Tensor:
    """1 where a mask says something of a class, 0 for the subtypes of blood that was drawn without one."""
    blood, subtypes = masks[:, :1], masks[:, 1:]
    if not subtypes.shape[1]:
        return torch.ones_like(blood)
    unnamed = blood * (1 - subtypes.amax(1, keepdim=True))
    return torch.cat([torch.ones_like(blood), (1 - unnamed).expand_as(subtypes)], 1)


def _mean_where(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)
