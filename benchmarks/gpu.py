"""Training of `base` on this machine's GPU by `train_round`: slices a second, and how near they come to the chip."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training import batch_of, study_of
from bloodnet_model.batches import Batch
from bloodnet_model.device import best_device, compiled
from bloodnet_model.gradients import batch_losses
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.schedule import Schedule, steps_per_epoch
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.training import train_round

_STUDIES: Final = 32
_EPOCHS: Final = 10
_NOT_THE_MODELS: Final = ("Memcpy", "Memset", "grid_sampler", "affine_grid")


def measure() -> dict[str, float]:
    """Nothing where there is no GPU."""
    if not torch.cuda.is_available():
        print("  no GPU here")
        return {}
    settings, device = model_settings("base"), best_device()
    network, size = build_network(settings, 0).to(device), settings.training.studies_per_step
    round_s = _least_seconds(partial(train, network, settings), times=3)
    step_s = round_s / _EPOCHS / steps_per_epoch(_STUDIES, size)
    rate = flops_of_a_step(network, settings, device) / step_s
    results = {
        "slices_per_s": round(size * settings.training.slices_per_study / step_s, 1),
        "kernels_share": round(share_of_kernels(network, settings), 3),
        "tflops": round(rate / 1e12, 1),
        "of_convolution_rate": round(rate / convolution_rate(device), 3),
        "compiling_gains": round(gain_of_compiling(network, settings, device), 2),
    }
    print(f"  base on {torch.cuda.get_device_name(device)}: {results}")
    return results


def train(network: BloodNet, settings: ModelSettings) -> None:
    """A round on studies in memory."""
    train_round(network, [study_of(settings)] * _STUDIES, settings, Schedule(1, 1, _EPOCHS), np.random.default_rng(0))


def share_of_kernels(network: BloodNet, settings: ModelSettings) -> float:
    """Of the time of a round, what the GPU spends in kernels that neither copy nor augment."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        elapsed_s = _seconds(lambda: train(network, settings))
    kernels = [e for e in seen.key_averages() if e.device_type.name == "CUDA" and not e.is_user_annotation]
    own = [kernel for kernel in kernels if not any(name in kernel.key for name in _NOT_THE_MODELS)]
    return float(sum(kernel.self_device_time_total for kernel in own)) / 1e6 / elapsed_s


def flops_of_a_step(network: BloodNet, settings: ModelSettings, device: torch.device) -> float:
    """Forward and backward; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        _forward_and_backward(network, batch_of(settings, device), settings)
    return float(counter.get_total_flops())


def gain_of_compiling(network: BloodNet, settings: ModelSettings, device: torch.device) -> float:
    batch, ways = batch_of(settings, device), (network, compiled(network, device, steps=10**9))
    eager_s, compiled_s = (_least_seconds(partial(_forward_and_backward, way, batch, settings)) for way in ways)
    return eager_s / compiled_s


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
    run()  # fills the allocator, and compiles what is to be compiled
    return min(_seconds(run) for _ in range(times))


def _seconds(run: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - started
