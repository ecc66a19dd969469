"""Training on this machine's GPU by `train_round`: slices a second, and how near they come to the chip.

Beside it, the same steps with each kernel launched from Python, in place of all at once.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training import batch_of, study_of
from bloodnet_model.batches import Batch
from bloodnet_model.device import best_device
from bloodnet_model.gradients import batch_losses
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.schedule import Schedule, steps_per_epoch
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.training import train_round

_STUDIES: Final = 32
_EPOCHS: Final = 10
_NOT_THE_MODELS: Final = ("Memcpy", "Memset", "grid_sampler", "affine_grid")


def measure() -> dict[str, dict[str, float]]:
    """Nothing where there is no GPU."""
    if not torch.cuda.is_available():
        print("  no GPU here")
        return {}
    rate = convolution_rate(best_device())
    print(f"  {torch.cuda.get_device_name()}: its convolutions run at {rate / 1e12:.0f} TFLOP/s")
    return {preset: _measured(model_settings(preset), rate) for preset in ("small", "base")}


def _measured(settings: ModelSettings, rate: float) -> dict[str, float]:
    """Of a step, what a round takes longer for having more of them; of a round, what it takes without any."""
    network, size = build_network(settings, 0).to(best_device()), settings.training.studies_per_step
    few, many = (epochs * steps_per_epoch(_STUDIES, size) for epochs in (_EPOCHS // 2, _EPOCHS))
    few_s, many_s = (_least_seconds(partial(train, network, settings, steps), times=3) for steps in (few, many))
    step_s = (many_s - few_s) / (many - few)
    with patch("bloodnet_model.recorded._UNRECORDED", many):
        launched_s = _least_seconds(partial(train, network, settings, few), times=1) / few
    results = {
        "slices_per_s": round(size * settings.training.slices_per_study / step_s, 1),
        "round_s": round(few_s - few * step_s, 3),
        "recording_gains": round(launched_s / step_s, 2),
        "kernels_share": round(seconds_of_kernels(network, settings, few) / few / step_s, 3),
        "of_convolution_rate": round(flops_of_a_step(network, settings, best_device()) / step_s / rate, 3),
    }
    print(f"  {settings.preset:<6}{1e3 * step_s:6.1f} ms a step: {results}")
    return results


def train(network: BloodNet, settings: ModelSettings, steps: int) -> None:
    """A round of so many steps on studies in memory."""
    schedule = Schedule(1, 1, _EPOCHS, steps)
    train_round(network, [study_of(settings)] * _STUDIES, settings, schedule, np.random.default_rng(0))


def seconds_of_kernels(network: BloodNet, settings: ModelSettings, steps: int) -> float:
    """Of a round of so many steps, what the GPU spends in kernels that neither copy nor augment."""
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        train(network, settings, steps)
    kernels = [e for e in seen.key_averages() if e.device_type.name == "CUDA" and not e.is_user_annotation]
    own = [kernel for kernel in kernels if not any(name in kernel.key for name in _NOT_THE_MODELS)]
    return float(sum(kernel.self_device_time_total for kernel in own)) / 1e6


def flops_of_a_step(network: BloodNet, settings: ModelSettings, device: torch.device) -> float:
    """Forward and backward; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        _forward_and_backward(network, batch_of(settings, device), settings)
    return float(counter.get_total_flops())


def convolution_rate(device: torch.device) -> float:
    """FLOP a second of bfloat16 3x3 convolutions of 256 channels, forward and backward."""
    x, weight = (
        torch.randn(shape, device=device, dtype=torch.bfloat16).to(memory_format=torch.channels_last).requires_grad_()
        for shape in ((64, 256, 64, 64), (256, 256, 3, 3))
    )
    flops = 3 * 2 * x.numel() * weight[0].numel()
    run_s = _least_seconds(lambda: torch.autograd.grad(F.conv2d(x, weight, padding=1), (x, weight), x.detach()))
    return flops / run_s


def _forward_and_backward(network: BloodNet, batch: Batch, settings: ModelSettings) -> None:
    batch_losses(network, batch, settings.training).total.backward()  # type: ignore[no-untyped-call]


def _least_seconds(run: Callable[[], object], times: int = 20) -> float:
    run()  # fills the allocator
    return min(_seconds(run) for _ in range(times))


def _seconds(run: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - started
