"""One site's part of a round in plain PyTorch: some epochs of AdamW from the given weights."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bloodnet_model.batches import Batch, Draw, epochs_of, make_batch
from bloodnet_model.device import new_scaler
from bloodnet_model.errors import DataError, TrainingDiverged
from bloodnet_model.gradients import Gradients
from bloodnet_model.network import BloodNet
from bloodnet_model.prefetch import batches_ahead
from bloodnet_model.schedule import Schedule, steps_per_epoch
from bloodnet_model.settings import ModelSettings, TrainingSettings
from bloodnet_model.steering import UNSTEERED, Steered, Steering
from bloodnet_model.study import Study

OptimizerState = dict[str, Tensor]
"""AdamW's moments by parameter name (`exp_avg.conv1.weight`, `exp_avg_sq.…`, `step.…`); plain tensors, no pickle."""


_STEPS_BETWEEN_LOOKS: Final = 25
"""At whether the loss still is a number: each look waits for the GPU, which should have its next step ready."""


@dataclass(frozen=True)
class TrainingResult:
    """What came of a round's training; losses are means over its steps.

    mean_gradient: (parameters,) over its steps, before they were corrected; None where they were not
    """

    steps: int
    loss: float
    mask_loss: float
    slice_loss: float
    study_loss: float
    optimizer_state: OptimizerState
    mean_gradient: NDArray[np.float32] | None


def train_round(
    network: BloodNet,
    studies: Sequence[Study],
    settings: ModelSettings,
    schedule: Schedule,
    rng: np.random.Generator,
    optimizer_state: OptimizerState | None = None,
    steering: Steering = UNSTEERED,
) -> TrainingResult:
    """Train `network` in place for the schedule's epochs or steps and return the losses and the optimiser's state.

    What a study is seen as depends on `rng`, its number and the epoch, not on the studies that share its batch.

    Raises DataError where there is no study to train on, WeightsError where `steering` is of another network, and
    TrainingDiverged where a loss is no number: then neither weights nor moments of this round are of use, those before
    it are untouched.
    """
    if not studies:
        raise DataError("There is no study to train on; add labelled studies to the training split.")
    training, device = settings.training, next(network.parameters()).device
    optimizer = new_optimizer(network, training)
    if optimizer_state:
        restore_optimizer(optimizer, network, optimizer_state)
    steps = schedule.steps(steps_per_epoch(len(studies), training.studies_per_step))
    steered = Steered(network, steering)
    average = _new_average(network, training.ema_decay)
    scaler = new_scaler(device)
    network.train()
    gradients = Gradients(network, training, scaler)
    sums = torch.zeros(4, dtype=torch.float64, device=device)
    for step, batch in enumerate(_batches(studies, settings, schedule.epochs, steps, device, rng), start=1):
        done = (schedule.round - 1) * steps + step - 1
        _set_learning_rate(optimizer, learning_rate_at(done, schedule.total_rounds * steps, training))
        sums += gradients.of(batch)
        scaler.unscale_(optimizer)
        steered.steer()
        clip_grad_norm_(network.parameters(), training.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        if average:
            average.update_parameters(network)
        if step == steps or step % _STEPS_BETWEEN_LOOKS == 0:
            _refuse_divergence(sums / step, step)
    if average:
        network.load_state_dict(average.module.state_dict())
    total, mask, slices, study = (sums / steps).tolist()
    moments = optimizer_tensors(optimizer, network)
    return TrainingResult(steps, total, mask, slices, study, moments, steered.mean_gradient(steps))


def _batches(
    studies: Sequence[Study],
    settings: ModelSettings,
    epochs: int,
    steps: int,
    device: torch.device,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """The first `steps` batches of so many epochs, each study's part of them from a generator of its own."""
    base = int(rng.integers(2**63))
    haemorrhage = np.array([study.study_labels[0] for study in studies])

    def make(draws: list[Draw]) -> Batch:
        chosen, rngs = [studies[draw.study] for draw in draws], [draw.generator(base) for draw in draws]
        return make_batch(chosen, settings.training, settings.network.neighbours, rngs, device)

    return batches_ahead(make, islice(epochs_of(haemorrhage, epochs, settings.training, rng), steps), device)


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
        f"{kind}.{name}": value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
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
        step = state[f"step.{name}"].to(parameter.device, copy=True)  # where the fused kernel wants it
        optimizer.state[parameter] = {"step": step, **moments}


def _new_average(network: BloodNet, decay: float) -> AveragedModel | None:
    """An exponential moving average of the weights and of a BatchNorm's running statistics; none for a decay of 0."""
    if not decay:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def _refuse_divergence(losses: Tensor, step: int) -> None:
    """`losses` (4,) are means over the steps up to `step`."""
    if not bool(torch.isfinite(losses[0])):
        raise TrainingDiverged(
            f"Up to step {step}, the loss is {losses[0].item()}; lower training.learning_rate, "
            "and run `bloodnet-client check` if it happens at one site alone."
        )


def _set_learning_rate(optimizer: torch.optim.AdamW, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
