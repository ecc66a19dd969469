"""Training speed on this processor: the project's way over the same network in float32 with contiguous tensors."""

import time
from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import torch

from bloodnet_model.batches import Batch, make_batch
from bloodnet_model.device import has_fast_bfloat16
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.study import Study
from bloodnet_model.training import batch_losses, new_optimizer

_STEPS = 4
_TURNS = 3


def measure() -> dict[str, dict[str, float]]:
    """Best of some turns each, the two ways in alternation."""
    if not has_fast_bfloat16(torch.device("cpu")):
        print("  this processor has no bfloat16 convolutions: both ways are float32")
    return {preset: _compare(model_settings(preset)) for preset in ("tiny", "small")}


def _compare(settings: ModelSettings) -> dict[str, float]:
    batch = _batch(settings)
    ours, plain = (build_network(settings, 0) for _ in range(2))
    plain = plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    optimizers = new_optimizer(ours, settings.training), torch.optim.AdamW(plain.parameters(), foreach=False)
    rates = [0.0, 0.0]
    for _ in range(_TURNS):
        rates[0] = max(rates[0], _slices_per_second(ours, optimizers[0], batch, settings))
        with patch("bloodnet_model.training.autocast", lambda device: nullcontext()):
            rates[1] = max(rates[1], _slices_per_second(plain, optimizers[1], batch, settings, channels_last=False))
    ratio = rates[0] / rates[1]
    print(f"  {settings.preset:<6}{rates[0]:8.1f} slices/s, float32 contiguous {rates[1]:.1f}: {ratio:.2f}")
    return {"slices_per_s": round(rates[0], 1), "plain_slices_per_s": round(rates[1], 1), "ratio": round(ratio, 2)}


def _slices_per_second(
    network: BloodNet,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    settings: ModelSettings,
    channels_last: bool = True,
) -> float:
    if not channels_last:
        batch = Batch(**{**vars(batch), "slices": batch.slices.contiguous()})
    network.train()
    started = 0.0
    for step in range(_STEPS + 1):
        if step == 1:  # the first warms up
            started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        batch_losses(network, batch, settings.training).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return _STEPS * len(batch.slices) / (time.perf_counter() - started)


def _batch(settings: ModelSettings) -> Batch:
    rng = np.random.default_rng(0)
    grid, slices = settings.preprocessing, 24
    windows = rng.integers(0, 256, (slices, len(grid.windows_hu), grid.rows, grid.columns), dtype=np.uint8)
    bits = np.zeros((slices, grid.rows // 2, grid.columns // 2), np.uint8)
    bits[8:12, 20:30, 20:30] = 1
    labels = np.zeros((slices, 6), np.int8)
    labels[8:12, 0] = 1
    study = Study(windows, labels.max(0), labels, bits, np.ones(slices, bool))
    return make_batch([study] * settings.training.studies_per_step, settings.training, settings.network.neighbours, rng)
