"""From prepared studies to the tensors of one step. Randomness is a numpy generator that the caller passes in."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bloodnet_model.augmentation import augment, draw_changes, joined
from bloodnet_model.labels import CLASSES, UNKNOWN
from bloodnet_model.schedule import steps_per_epoch
from bloodnet_model.settings import TrainingSettings
from bloodnet_model.study import Study

CPU: Final = torch.device("cpu")


@dataclass(frozen=True)
class Batch:
    """Equally many slices of each study, studies one after the other."""

    slices: Tensor  # (studies * slices, channels, rows, columns) in -1..1, channels_last
    masks: Tensor  # (studies * slices, 6, rows / 2, columns / 2) in {0, 1}
    mask_known: Tensor  # (studies * slices,) in {0, 1}
    slice_labels: Tensor  # (studies * slices, 6) in {0, 1, -1}
    study_labels: Tensor  # (studies, 6) in {0, 1, -1}


class Draw(NamedTuple):
    """A study that a step trains on, and the how-manieth time in its epoch; all that its randomness depends on."""

    study: int
    epoch: int
    repeat: int

    def generator(self, base: int) -> np.random.Generator:
        """The draw's own generator; `base` is that of the round."""
        return np.random.default_rng([base, self.epoch, self.study, self.repeat])


def slice_stack(study: Study, chosen: NDArray[np.int64], neighbours: int, device: torch.device = CPU) -> Tensor:
    """The chosen slices, each with its neighbours as channels (edges repeated), scaled to -1..1.

    Returns float32 (chosen, (2 * neighbours + 1) * windows, rows, columns), channels_last.
    """
    return scaled(_windows([(study, chosen)], neighbours, device)).contiguous(memory_format=torch.channels_last)


def scaled(windows: Tensor) -> Tensor:
    """uint8 to float32 in -1..1."""
    return windows.to(torch.float32).mul_(2 / 255).sub_(1)


def _windows(pairs: Sequence[tuple[Study, NDArray[np.int64]]], neighbours: int, device: torch.device) -> Tensor:
    """uint8 (chosen, (2 * neighbours + 1) * windows, rows, columns) on `device`, one study after the other."""
    counts, offsets = [len(chosen) for _, chosen in pairs], np.arange(-neighbours, neighbours + 1)
    shape = sum(counts), len(offsets), *pairs[0][0].windows.shape[1:]
    gathered = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")  # where a GPU takes it from
    for (study, chosen), part in zip(pairs, torch.split(gathered, counts), strict=True):
        np.take(study.windows, chosen[:, None] + offsets, 0, out=part.numpy(), mode="clip")  # edges are repeated
    return gathered.flatten(1, 2).to(device, non_blocking=True)


def unpack_mask(mask_bits: NDArray[np.uint8], device: torch.device = CPU) -> Tensor:
    """uint8 bit fields (slices, rows, columns) to float32 (slices, 6, rows, columns)."""
    shifts = torch.arange(len(CLASSES), dtype=torch.uint8, device=device)[:, None, None]
    return ((sent(np.array(mask_bits), device)[:, None] >> shifts) & 1).to(torch.float32)


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


def epochs_of(
    haemorrhage: NDArray[np.int8], epochs: int, settings: TrainingSettings, rng: np.random.Generator
) -> Iterator[list[Draw]]:
    """What each step trains on: all studies once an epoch, the last step of an epoch filled from its start.

    `haemorrhage` holds each study's label `any` in {0, 1, -1}. Where positives are rare, some take the place of
    negatives: `positive_study_share` says how many.
    """
    size = settings.studies_per_step
    for epoch in range(epochs):
        studies = rng.permutation(_with_positives(haemorrhage, settings.positive_study_share, rng))
        steps = steps_per_epoch(len(studies), size)
        seen: Counter[int] = Counter()
        draws = []
        for study in np.resize(studies, steps * size).tolist():
            draws.append(Draw(study, epoch, seen[study]))
            seen[study] += 1
        yield from (draws[i * size : (i + 1) * size] for i in range(steps))


def _with_positives(haemorrhage: NDArray[np.int8], share: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """As many study numbers as there are studies, of the known ones at least `share` positive, if any is."""
    positive, negative = np.flatnonzero(haemorrhage == 1), np.flatnonzero(haemorrhage == 0)
    wanted = math.ceil(share * (len(positive) + len(negative)))
    if not len(positive) or len(positive) >= wanted:
        return np.arange(len(haemorrhage))
    repeated = np.resize(rng.permutation(positive), wanted)  # each positive as often as any other, to within one
    kept = rng.choice(negative, len(positive) + len(negative) - wanted, replace=False)
    return np.concatenate([repeated, kept, np.flatnonzero(haemorrhage == UNKNOWN)])


def make_batch(
    studies: Sequence[Study],
    settings: TrainingSettings,
    neighbours: int,
    rngs: Sequence[np.random.Generator],
    device: torch.device = CPU,
) -> Batch:
    """One augmented batch; slices and changes of a study come from its own generator, whatever else is in the batch."""
    chosen = [choose_slices(study, settings, rng) for study, rng in zip(studies, rngs, strict=True)]
    pairs = list(zip(studies, chosen, strict=True))
    changes = joined(
        [
            draw_changes(settings, len(which), study.windows.shape[2:], rng)
            for (study, which), rng in zip(pairs, rngs, strict=True)
        ]
    )
    slices, masks = augment(
        scaled(_windows(pairs, neighbours, device)),
        unpack_mask(np.concatenate([study.mask_bits[which] for study, which in pairs]), device),
        changes,
    )
    return Batch(
        slices=slices.contiguous(memory_format=torch.channels_last),
        masks=masks,
        mask_known=_joined([study.mask_known[which] for study, which in pairs], device),
        slice_labels=_joined([study.slice_labels[which] for study, which in pairs], device),
        study_labels=_joined([study.study_labels[None] for study in studies], device),
    )


def sent(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """`array` on `device`; to a GPU by way of pinned memory, so that nobody waits for it."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _joined(parts: Sequence[NDArray[np.generic]], device: torch.device) -> Tensor:
    return sent(np.concatenate(parts), device).to(torch.float32)
