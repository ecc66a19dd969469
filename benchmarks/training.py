"""Training speed on this processor: the project's way over the same network in float32 with contiguous tensors.

Slices a CPU-second on one thread, as a worker of the local engine has it: other processes then hardly count. Where
bfloat16 has only twice the rate of float32 (AVX-512 without AMX), the convolutions alone come to 2.1 to 2.3.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import torch

from bloodnet_model.batches import Batch, make_batch
from bloodnet_model.device import has_fast_bfloat16
from bloodnet_model.gradients import batch_losses
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.study import Study
from bloodnet_model.training import new_optimizer

_STEPS = 4
_TURNS = 6


def measure() -> dict[str, dict[str, float]]:
    """Best of some turns each, the two ways in alternation."""
    if not has_fast_bfloat16(torch.device("cpu")):
        print("  this processor has no bfloat16 convolutions: both ways are float32")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {preset: _compare(model_settings(preset)) for preset in ("tiny", "small")}
    finally:
        torch.set_num_threads(threads)


def study_of(settings: ModelSettings, slices: int = 24) -> Study:
    """A study of noise with a little blood."""
    rng, grid = np.random.default_rng(0), settings.preprocessing
    windows = rng.integers(0, 256, (slices, len(grid.windows_hu), grid.rows, grid.columns), dtype=np.uint8)
    bits = np.zeros((slices, grid.rows // 2, grid.columns // 2), np.uint8)
    bits[8:12, 20:30, 20:30] = 1
    labels = np.zeros((slices, 6), np.int8)
    labels[8:12, 0] = 1
    return Study(windows, labels.max(0), labels, bits, np.ones(slices, bool))


def batch_of(settings: ModelSettings, device: torch.device) -> Batch:
    """A step's batch."""
    training, rng = settings.training, np.random.default_rng(0)
    studies = [study_of(settings)] * training.studies_per_step
    return make_batch(studies, training, settings.network.neighbours, rng.spawn(len(studies)), device)


def _compare(settings: ModelSettings) -> dict[str, float]:
    batch = batch_of(settings, torch.device("cpu"))
    plain_batch = Batch(**{**vars(batch), "slices": batch.slices.contiguous()})
    ours, plain = (build_network(settings, 0) for _ in range(2))
    plain = plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    optimizers = new_optimizer(ours, settings.training), torch.optim.AdamW(plain.parameters(), foreach=False)
    seconds = [float("inf")] * 2
    for _ in range(_TURNS):
        seconds[0] = min(seconds[0], _step_seconds(ours, optimizers[0], batch, settings))
        with patch("bloodnet_model.gradients.autocast", lambda device: nullcontext()):
            seconds[1] = min(seconds[1], _step_seconds(plain, optimizers[1], plain_batch, settings))
    rates = [len(batch.slices) / each for each in seconds]
    ratio = rates[0] / rates[1]
    print(f"  {settings.preset:<6}{rates[0]:8.1f} slices/s, float32 contiguous {rates[1]:.1f}: {ratio:.2f}")
    return {"slices_per_s": round(rates[0], 1), "plain_slices_per_s": round(rates[1], 1), "ratio": round(ratio, 2)}


def _step_seconds(network: BloodNet, optimizer: torch.optim.Optimizer, batch: Batch, settings: ModelSettings) -> float:
    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        batch_losses(network, batch, settings.training).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    network.train()
    return _least_seconds(step)


def _least_seconds(run: Callable[[], object]) -> float:
    """CPU seconds; a first run warms up."""
    run()
    taken = []
    for _ in range(_STEPS):
        started = time.process_time()
        run()
        taken.append(time.process_time() - started)
    return min(taken)
