"""One site's part of a round in plain PyTorch: some epochs of AdamW from the given weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bloodnet_model.batches import Batch, epochs_of, make_batch, steps_per_epoch
from bloodnet_model.device import autocast
from bloodnet_model.errors import DataError, TrainingDiverged
from bloodnet_model.losses import Losses, joint_loss
from bloodnet_model.network import BloodNet, learns_masks, shown_to_oracle
from bloodnet_model.settings import ModelSettings, TrainingSettings
from bloodnet_model.study import Study

OptimizerState = dict[str, Tensor]
"""AdamW's moments by parameter name (`exp_avg.conv1.weight`, `exp_avg_sq.…`, `step.…`); plain tensors, no pickle."""


@dataclass(frozen=True)
class Schedule:
    """Where a round stands in the whole run, so that one warm-up and one cosine span all rounds."""

    round: int
    total_rounds: int
    epochs: int


@dataclass(frozen=True)
class TrainingResult:
    """What came of a round's training; losses are means over its steps."""

    steps: int
    loss: float
    mask_loss: float
    slice_loss: float
    study_loss: float
    optimizer_state: OptimizerState


def train_round(
    network: BloodNet,
    studies: Sequence[Study],
    settings: ModelSettings,
    schedule: Schedule,
    rng: np.random.Generator,
    optimizer_state: OptimizerState | None = None,
    proximal_mu: float = 0.0,
) -> TrainingResult:
    """Train `network` in place for `schedule.epochs` epochs and return the losses and the optimiser's state.

    What a study is seen as depends on `rng`, its number and the epoch, not on the studies that share its batch.

    `proximal_mu` > 0 adds FedProx's (mu/2)·|w - w_start|² (Li et al., arXiv 1812.06127), where w_start are the
    weights that `network` came with. Raises DataError where there is no study to train on, and TrainingDiverged where
    a loss is no number: then neither weights nor moments of this round are of use, those before it are untouched.
    """
    if not studies:
        raise DataError("There is no study to train on; add labelled studies to the training split.")
    training = settings.training
    optimizer = new_optimizer(network, training)
    if optimizer_state:
        restore_optimizer(optimizer, network, optimizer_state)
    anchors = [p.detach().clone() for p in network.parameters()] if proximal_mu else []
    per_round = schedule.epochs * steps_per_epoch(len(studies), training.studies_per_step)
    network.train()
    sums = torch.zeros(4, dtype=torch.float64)
    average = _new_average(network, training.ema_decay)
    base = int(rng.integers(2**63))
    haemorrhage = np.array([study.study_labels[0] for study in studies])
    for step, draws in enumerate(epochs_of(haemorrhage, schedule.epochs, training, rng)):
        done = (schedule.round - 1) * per_round + step
        _set_learning_rate(optimizer, learning_rate_at(done, schedule.total_rounds * per_round, training))
        batch = make_batch(
            [studies[draw.study] for draw in draws],
            training,
            settings.network.neighbours,
            [draw.generator(base) for draw in draws],
        )
        losses = batch_losses(network, batch, training)
        _refuse_divergence(losses, step)
        optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        if anchors:
            add_proximal_gradient(list(network.parameters()), anchors, proximal_mu)
        torch.nn.utils.clip_grad_norm_(network.parameters(), training.clip_norm)
        optimizer.step()
        if average:
            average.update_parameters(network)
        sums += torch.stack([part.detach().double().cpu() for part in losses])
    if average:
        network.load_state_dict(average.module.state_dict())
    total, mask, slices, study = (sums / per_round).tolist()
    return TrainingResult(per_round, total, mask, slices, study, optimizer_tensors(optimizer, network))


def batch_losses(network: BloodNet, batch: Batch, settings: TrainingSettings) -> Losses:
    """Forward pass of one batch on the network's device, in bfloat16 where the device has it."""
    device = next(network.parameters()).device
    masks, mask_known = batch.masks.to(device), batch.mask_known.to(device)
    with autocast(device):
        output = network(batch.slices.to(device, non_blocking=True), shown_to_oracle(network, masks, mask_known))
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
        masks,
        mask_known,
        batch.slice_labels.to(device),
        batch.study_labels.to(device),
        settings,
    )


def add_proximal_gradient(parameters: Sequence[Tensor], anchors: Sequence[Tensor], mu: float) -> None:
    """Add mu·(w - w_start), the gradient of (mu/2)·|w - w_start|², to each parameter's gradient."""
    with torch.no_grad():
        for parameter, anchor in zip(parameters, anchors, strict=True):
            drift = mu * (parameter - anchor)
            parameter.grad = drift if parameter.grad is None else parameter.grad.add_(drift)


def learning_rate_at(step: int, total_steps: int, settings: TrainingSettings) -> float:
    """Linear warm-up, times a cosine from the full rate down to its final share over the whole run."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    floor = settings.final_learning_rate_share
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, total_steps))))
    return settings.learning_rate * warm * (floor + (1 - floor) * cosine)


def new_optimizer(network: BloodNet, settings: TrainingSettings) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )


def optimizer_tensors(optimizer: torch.optim.AdamW, network: BloodNet) -> OptimizerState:
    """The optimiser's tensors by name, to be kept at the site until the next round."""
    return {
        f"{kind}.{name}": value.detach().clone(memory_format=torch.contiguous_format)
        for name, parameter in network.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()  # none for a head that this link leaves idle
    }


def restore_optimizer(optimizer: torch.optim.AdamW, network: BloodNet, state: OptimizerState) -> None:
    """Put back what `optimizer_tensors` returned, in the memory layout of each parameter."""
    for name, parameter in network.named_parameters():
        if f"step.{name}" not in state:
            continue
        moments = {
            kind: torch.empty_like(parameter).copy_(state[f"{kind}.{name}"]) for kind in ("exp_avg", "exp_avg_sq")
        }
        optimizer.state[parameter] = {"step": state[f"step.{name}"].clone(), **moments}


def _new_average(network: BloodNet, decay: float) -> AveragedModel | None:
    """An exponential moving average of the weights and of a BatchNorm's running statistics; none for a decay of 0."""
    if not decay:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def _refuse_divergence(losses: Losses, step: int) -> None:
    if not bool(torch.isfinite(losses.total)):
        raise TrainingDiverged(
            f"Step {step + 1}: the loss is {losses.total.item()}; lower training.learning_rate, "
            "and run `bloodnet-client check` if it happens at one site alone."
        )


def _set_learning_rate(optimizer: torch.optim.AdamW, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
