"""The trained network with a cheaper decoder: the same function, up to rounding, at fewer multiplications.

The decoder doubles a map by repeating its pixels, lays the encoder's map beside it and convolves both. The convolution
of a doubled map is a transposed convolution of the map itself, with a kernel of 4 by 4 in place of 3 by 3: 4
multiplications a pixel in place of 9. And a convolution by single pixels may come before the doubling: 1 in place of 4.
For prediction alone; on a CPU it takes a twentieth to an eighth off the whole network's time (`benchmarks/triage.py`).
"""

from collections.abc import Iterable
from typing import Final, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bloodnet_model.layers import Block
from bloodnet_model.network import BloodNet
from bloodnet_model.settings import ModelSettings

_PAIR: Final = torch.ones(1, 1, 2, 2)


def cheaper(network: BloodNet, settings: ModelSettings) -> BloodNet:
    """`network` on its device, or a copy with the cheaper decoder where every level is exactly twice the next."""
    grid, doublings = settings.preprocessing, len(network.decoder)
    even = all(size % 2 ** (doublings + 1) == 0 for size in (grid.rows, grid.columns))
    if not even or any(isinstance(block.downsample, nn.Identity) for block in network.decoder):
        return network
    with torch.random.fork_rng(devices=[]):
        copy = _Doubling(network, settings)
    device = next(network.parameters()).device
    return copy.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


class _Doubling(BloodNet):
    def __init__(self, network: BloodNet, settings: ModelSettings) -> None:
        super().__init__(settings.network, len(settings.preprocessing.windows_hu))
        self.load_state_dict(network.state_dict())
        below = [settings.network.widths[-1], *settings.network.decoder_widths]
        blocks = zip(cast(Iterable[Block], self.decoder), below, strict=False)
        self.decoder = nn.ModuleList(_DoublingBlock(block, channels) for block, channels in blocks)

    def _decode(self, levels: list[Tensor]) -> list[Tensor]:
        x, maps = levels[-1], []
        for block, skip in zip(self.decoder, reversed(levels[:-1]), strict=True):
            x = block(x, skip)
            maps.append(x)
        return maps


class _DoublingBlock(nn.Module):
    """A decoder's `Block` that is given the map to double, of `channels` channels, and the encoder's apart."""

    def __init__(self, block: Block, channels: int) -> None:
        super().__init__()
        single, norm = block.downsample.children()
        assert isinstance(single, nn.Conv2d)
        self.bn1, self.conv2, self.bn2 = block.bn1, block.conv2, block.bn2
        self.of_doubled = _transposed(block.conv1.weight[:, :channels])
        self.of_skip = _convolution(block.conv1.weight[:, channels:])
        self.norm = norm
        self.shortcut_of_doubled = _convolution(single.weight[:, :channels])
        self.shortcut_of_skip = _convolution(single.weight[:, channels:])

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.of_skip(skip) + self.of_doubled(x)))
        doubled = F.interpolate(self.shortcut_of_doubled(x), scale_factor=2, mode="nearest")
        return F.relu(self.bn2(self.conv2(y)) + self.norm(self.shortcut_of_skip(skip) + doubled))


def _convolution(weight: Tensor) -> nn.Conv2d:
    """Without bias, of its input's size, with these weights (out, in, k, k)."""
    out, into, size, _ = weight.shape
    convolution = nn.Conv2d(into, out, size, padding=size // 2, bias=False)
    convolution.weight = nn.Parameter(weight.detach().clone())
    return convolution


def _transposed(weight: Tensor) -> nn.ConvTranspose2d:
    """What a convolution with `weight` (out, in, 3, 3) of a doubled map is to the map itself."""
    out, into = weight.shape[:2]
    turned = weight.detach().flip(2, 3).reshape(-1, 1, 3, 3)
    kernel = F.conv2d(turned, _PAIR, padding=1).reshape(out, into, 4, 4)  # each pixel is seen through its two copies
    transposed = nn.ConvTranspose2d(into, out, 4, stride=2, padding=1, bias=False)
    transposed.weight = nn.Parameter(kernel.transpose(0, 1).contiguous())
    return transposed
