"""Augmentation of a whole batch at one go, on its device: image and mask are warped together.

What happens to a study is drawn on the CPU from the study's own generator; applying it is arithmetic without chance.
All slices of a study share one geometry, so anatomy stays whole from slice to slice.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bloodnet_model.settings import TrainingSettings

AIR = -1.0
"""The lowest value of every window: what lies beyond the image's edge."""


class Changes(NamedTuple):
    """What is done to each slice of a study, or of a batch."""

    sources: NDArray[np.float32]  # (slices, 2, 3), as F.affine_grid wants it: where each pixel is taken from
    gains: NDArray[np.float32]  # (slices,) of contrast, about the middle of the window
    offsets: NDArray[np.float32]  # (slices,) of brightness, the window being 2 wide
    erased: NDArray[np.float32]  # (slices, 4): first and last row, first and last column, as shares of the image


def draw_changes(settings: TrainingSettings, slices: int, shape: tuple[int, int], rng: np.random.Generator) -> Changes:
    """Changes of one study of `shape` (rows, columns): brightness is each slice's own, all else the study's."""
    source = _drawn_source(settings, shape, rng)
    gain = 1 + rng.normal(0, settings.contrast_jitter)
    offsets = rng.normal(0, settings.brightness_jitter, slices)
    size = rng.uniform(0, settings.erased_share, 2)
    first = rng.uniform(0, 1 - size)
    box = np.stack([first, first + size], 1).reshape(4)
    return Changes(
        np.broadcast_to(source, (slices, 2, 3)).astype(np.float32),
        np.full(slices, gain, np.float32),
        offsets.astype(np.float32),
        np.broadcast_to(box, (slices, 4)).astype(np.float32),
    )


def joined(changes: Sequence[Changes]) -> Changes:
    """The changes of studies that lie one after the other in a batch."""
    return Changes(*(np.concatenate(parts) for parts in zip(*changes, strict=True)))


def augment(slices: Tensor, masks: Tensor, changes: Changes) -> tuple[Tensor, Tensor]:
    """Slices (n, channels, rows, columns) in -1..1 and masks (n, classes, rows / 2, columns / 2) in {0, 1}, changed.

    Masks stay in {0, 1}: each pixel is the nearest one of the source. The slices given may be overwritten.
    """
    device = slices.device
    if not np.array_equal(changes.sources, np.broadcast_to(np.eye(2, 3, dtype=np.float32), changes.sources.shape)):
        sources = torch.from_numpy(changes.sources).to(device)
        slices = _taken(slices.sub_(AIR), sources, "bilinear").add_(AIR)  # beyond the edge, sampling gives 0
        masks = _taken(masks, sources, "nearest")
    for i, (top, bottom, left, right) in enumerate(_pixels(changes.erased, slices.shape[2:])):
        slices[i, :, top:bottom, left:right] = AIR
    gains, offsets = (torch.from_numpy(part)[:, None, None, None].to(device) for part in changes[1:3])
    return slices.mul_(gains).add_(offsets), masks


def _drawn_source(settings: TrainingSettings, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, 3): rotation, scale, shift and flip in coordinates of -1..1 along columns and rows of a `shape`."""
    angle = np.deg2rad(rng.uniform(-1, 1) * settings.rotation_degrees)
    scale = 1 + rng.uniform(-1, 1) * settings.scale_share
    shift = 2 * rng.uniform(-1, 1, 2) * settings.shift_share
    mirrored = -1 if settings.flip and rng.random() < 0.5 else 1
    sine, cosine, aspect = np.sin(angle), np.cos(angle), shape[0] / shape[1]  # a turn is one in mm, not in shares
    turn = np.array([[cosine, -sine * aspect], [sine / aspect, cosine]]) / scale
    return np.column_stack([turn * (mirrored, 1), shift])


def _taken(images: Tensor, sources: Tensor, mode: str) -> Tensor:
    grid = F.affine_grid(sources, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode, "zeros", align_corners=False)


def _pixels(erased: NDArray[np.float32], shape: Sequence[int]) -> list[list[int]]:
    """Bounds in pixels of what is erased; none where nothing is."""
    rows, columns = shape
    bounds = np.rint(erased * (rows, rows, columns, columns)).astype(int)
    return bounds.tolist() if (erased[:, 1::2] > erased[:, ::2]).any() else []
