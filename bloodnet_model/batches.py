"""From prepared studies to the tensors of one step. Randomness is a numpy generator that the caller passes in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bloodnet_model.labels import CLASSES
from bloodnet_model.settings import TrainingSettings
from bloodnet_model.study import Study


@dataclass(frozen=True)
class Batch:
    """Equally many slices of each study, studies one after the other."""

    slices: Tensor  # (studies * slices, channels, rows, columns) in -1..1, channels_last
    masks: Tensor  # (studies * slices, 6, rows / 2, columns / 2) in {0, 1}
    mask_known: Tensor  # (studies * slices,) in {0, 1}
    slice_labels: Tensor  # (studies * slices, 6) in {0, 1, -1}
    study_labels: Tensor  # (studies, 6) in {0, 1, -1}


def slice_stack(study: Study, chosen: NDArray[np.int64], neighbours: int) -> Tensor:
    """The chosen slices, each with its neighbours as channels (edges repeated), scaled to -1..1.

    Returns float32 (chosen, (2 * neighbours + 1) * windows, rows, columns), channels_last.
    """
    offsets = np.arange(-neighbours, neighbours + 1)
    which = np.clip(chosen[:, None] + offsets, 0, study.slices - 1)
    stack = torch.from_numpy(study.windows[which]).flatten(1, 2)  # (chosen, 2n + 1, windows, ...) merged
    return stack.to(torch.float32).mul_(2 / 255).sub_(1).contiguous(memory_format=torch.channels_last)


def unpack_mask(mask_bits: NDArray[np.uint8]) -> Tensor:
    """uint8 bit fields (slices, rows, columns) to float32 (slices, 6, rows, columns)."""
    shifts = torch.arange(len(CLASSES), dtype=torch.uint8)[:, None, None]
    return ((torch.from_numpy(np.array(mask_bits))[:, None] >> shifts) & 1).to(torch.float32)


def choose_slices(study: Study, settings: TrainingSettings, rng: np.random.Generator) -> NDArray[np.int64]:
    """Slices of one study for one step, in anatomical order; some with blood, so that positives are seen at all."""
    positive = np.flatnonzero(study.slice_labels[:, 0] == 1)
    wanted = settings.slices_per_study
    seeds = rng.choice(positive, min(settings.positive_slices_per_study, len(positive), wanted), replace=False)
    others = np.setdiff1d(np.arange(study.slices), seeds)
    if len(others) >= wanted - len(seeds):
        rest = rng.choice(others, wanted - len(seeds), replace=False)
    else:  # a short study repeats slices
        rest = rng.choice(study.slices, wanted - len(seeds), replace=True)
    return np.sort(np.concatenate([seeds, rest]).astype(np.int64))


def epochs_of(count: int, epochs: int, size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Study numbers of each step: every study once an epoch, the last step of an epoch filled from its start."""
    for _ in range(epochs):
        order = rng.permutation(count)
        steps = steps_per_epoch(count, size)
        order = np.resize(order, steps * size)
        yield from (order[i * size : (i + 1) * size].tolist() for i in range(steps))


def steps_per_epoch(studies: int, studies_per_step: int) -> int:
    return -(-studies // studies_per_step)


def make_batch(
    studies: Sequence[Study], settings: TrainingSettings, neighbours: int, rng: np.random.Generator
) -> Batch:
    """One augmented batch: a flip of left and right for all, and an offset of brightness for each slice."""
    chosen = [choose_slices(study, settings, rng) for study in studies]
    pairs = list(zip(studies, chosen, strict=True))
    slices = torch.cat([slice_stack(study, which, neighbours) for study, which in pairs])
    masks = unpack_mask(np.concatenate([study.mask_bits[which] for study, which in pairs]))
    if settings.flip and rng.random() < 0.5:
        slices, masks = slices.flip(-1), masks.flip(-1)
    jitter = rng.normal(0, settings.brightness_jitter, (len(slices), 1, 1, 1)).astype(np.float32)
    return Batch(
        slices=slices.add_(torch.from_numpy(jitter)).contiguous(memory_format=torch.channels_last),
        masks=masks,
        mask_known=_joined([study.mask_known[which] for study, which in pairs]),
        slice_labels=_joined([study.slice_labels[which] for study, which in pairs]),
        study_labels=_joined([study.study_labels[None] for study in studies]),
    )


def _joined(parts: Sequence[NDArray[np.generic]]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts)).to(torch.float32)
