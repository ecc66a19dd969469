"""The losses of a batch and their gradients, in as few parts as the device has memory for."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from bloodnet_model.batches import Batch
from bloodnet_model.device import autocast
from bloodnet_model.losses import Losses, joint_loss
from bloodnet_model.network import BloodNet, learns_masks, shown_to_oracle
from bloodnet_model.recorded import Recorded
from bloodnet_model.settings import TrainingSettings


class Gradients:
    """Fills the gradients of a network's parameters; where memory runs out, studies go through in smaller parts.

    Part by part, each mean of the loss is one of the part's known labels: nearly, not exactly, that of the batch.
    """

    def __init__(self, network: BloodNet, settings: TrainingSettings, scaler: torch.amp.GradScaler) -> None:
        self._network, self._settings, self._scaler = network, settings, scaler
        self._studies_at_once = settings.studies_per_step
        self._fewest = 2 if network.link == "shuffled" else 1  # alone, a study would be shown masks of its own
        self._filled = self._recorded()

    def of(self, batch: Batch) -> Tensor:
        """(4,): the losses of `batch` in the order of `Losses`, until the next call.

        Raises torch.OutOfMemoryError where nothing fits.
        """
        while True:
            try:
                return self._filled(batch)
            except torch.OutOfMemoryError:
                if self._studies_at_once <= self._fewest:
                    raise
            self._studies_at_once //= 2  # for the rest of the round
            self._filled = self._recorded()
            torch.cuda.empty_cache()  # only here: while the error is handled, it holds what did not fit

    def _recorded(self) -> Recorded:
        fill = partial(_fill, self._network, self._settings, self._scaler, self._studies_at_once)
        return Recorded(fill, list(self._network.parameters()))


def _fill(
    network: BloodNet, settings: TrainingSettings, scaler: torch.amp.GradScaler, studies_at_once: int, batch: Batch
) -> Tensor:
    """The losses; of the parts, the gradients are summed up in place of what there was."""
    network.zero_grad(set_to_none=True)
    sums = torch.zeros(len(Losses._fields), device=batch.slices.device)
    for part in parts(batch, studies_at_once):
        losses = batch_losses(network, part, settings)
        share = len(part.study_labels) / len(batch.study_labels)
        scaler.scale(losses.total * share).backward()  # type: ignore[no-untyped-call]
        sums += share * torch.stack(losses).detach()
    return sums


def parts(batch: Batch, studies: int) -> Iterator[Batch]:
    """`batch` in parts of so many studies."""
    count = len(batch.study_labels)
    for start in range(0, count, studies):
        yield Batch(
            **{
                name: value[start * len(value) // count : min(start + studies, count) * len(value) // count]
                for name, value in vars(batch).items()
            }
        )


def batch_losses(network: BloodNet, batch: Batch, settings: TrainingSettings) -> Losses:
    """Forward pass of a batch that lies on the network's device, in the precision that is fast there."""
    with autocast(batch.slices.device):
        output = network(batch.slices, shown_to_oracle(network, batch.masks, batch.mask_known))
    studies = len(batch.study_labels)
    study_logits = network.study_logits(
        output.features.view(studies, -1, output.features.shape[-1]),
        output.slice_logits.view(studies, -1, output.slice_logits.shape[-1]),
    )
    if not learns_masks(network.link):
        settings = settings.model_copy(update={"mask_weight": 0.0})
    return joint_loss(
        output.mask_logits,
        output.slice_logits,
        study_logits,
        batch.masks,
        batch.mask_known,
        batch.slice_labels,
        batch.study_labels,
        settings,
    )
