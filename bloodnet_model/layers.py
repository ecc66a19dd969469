"""What the network is built of: residual blocks, norms where they pay, and a concatenation for the decoder.

PyTorch's kernels are slow on some layouts of memory. Detours around them change no result.
"""

from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bloodnet_model.settings import Norm

_GROUPS: Final = 8
_VECTOR: Final = 16  # bfloat16 channels that a CPU's kernel takes at once
_MANY_PIXELS: Final = 1024  # from which on that kernel goes another way


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al., arXiv 1512.03385), shrinking its shortcut by averaging."""

    def __init__(self, before: int, width: int, stride: int, norm: "Norms") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = norm(width)
        self.stride = stride
        self.downsample: nn.Module = nn.Identity()
        if before != width:
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, bias=False), norm(width))
        if isinstance(self.bn2, nn.Identity):  # without a norm, a full-size residual makes the first steps diverge
            with torch.no_grad():
                self.conv2.weight.mul_(0.25)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        shortcut = self.downsample(x if self.stride == 1 else F.avg_pool2d(x, self.stride))
        return F.relu(y + shortcut, inplace=True)


class Norms(NamedTuple):
    """Norm layers where they pay: they take half of a CPU step at high resolution, where channels are few."""

    kind: Norm
    least_channels: int

    def __call__(self, channels: int) -> nn.Module:
        if channels < self.least_channels:
            return nn.Identity()
        return GroupNorm(_GROUPS, channels) if self.kind == "group" else nn.BatchNorm2d(channels)


class GroupNorm(nn.GroupNorm):
    """Of the same result, faster where the channels of a pixel lie side by side.

    On a CPU, groups of few channels are summed along the pixels of each channel. On a GPU all are, for want of another
    kernel; autocast would turn them around in float32, of twice the bytes, and leave what follows turned.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.is_contiguous():
            return super().forward(x)
        if x.device.type == "cuda":
            return in_its_own_type(self, x.contiguous()).contiguous(memory_format=torch.channels_last)
        few = self.num_channels < _VECTOR * self.num_groups and x.shape[2] * x.shape[3] < _MANY_PIXELS
        if not few:
            return super().forward(x)
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)


def in_its_own_type(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """Sums are float32 all the same."""
    with torch.autocast(x.device.type, enabled=False):
        return F.group_norm(x, norm.num_groups, norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)


def stage(before: int, width: int, blocks: int, stride: int, norm: Norms) -> nn.Sequential:
    first = Block(before, width, stride, norm)
    return nn.Sequential(first, *(Block(width, width, 1, norm) for _ in range(blocks - 1)))


def joined(upper: Tensor, skip: Tensor) -> Tensor:
    """Both along the channels."""
    if upper.device.type != "cpu" or not upper.requires_grad:
        return torch.cat([upper, skip], 1)
    maps: Tensor = _Joined.apply(upper, skip)  # type: ignore[no-untyped-call]
    return maps


class _Joined(torch.autograd.Function):
    """A concatenation whose gradients are dense: a view of some of the channels makes what follows on a CPU crawl."""

    @staticmethod
    def forward(context: Any, upper: Tensor, skip: Tensor) -> Tensor:
        context.channels = [upper.shape[1], skip.shape[1]]
        return torch.cat([upper, skip], 1)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        last = gradient.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        return tuple(part.contiguous(memory_format=layout) for part in torch.split(gradient, context.channels, 1))
