"""Starting from weights trained elsewhere: a ResNet's encoder, or a whole BloodNet of an earlier run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from bloodnet_model.errors import WeightsError
from bloodnet_model.network import BloodNet
from bloodnet_model.weights import differing_layers, read_tensors

_FIRST: Final = "conv1.weight"


@dataclass(frozen=True)
class Start:
    """Names of tensors: taken from the file, left as they were drawn, and in the file for nothing."""

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]

    def sentence(self) -> str:
        """`218 tensors loaded; fresh: classify, decoder, …; in the file for nothing: fc`."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        parts += [f"fresh: {_modules(self.fresh)}"] if self.fresh else []
        parts += [f"in the file for nothing: {_modules(self.unused)}"] if self.unused else []
        return "; ".join(parts)


def start_from(network: BloodNet, path: Path) -> Start:
    """Copy into `network` every tensor of a safetensors file that bears the name of one of its own.

    The first convolution may have another number of input channels, such as three colours: its mean over them is given
    to each of ours, scaled so that a grey image gives the same response. Raises WeightsError, naming the layers, where
    the file is of another architecture or preset, or is no safetensors file.
    """
    tensors, own = read_tensors(path), network.state_dict()
    if _FIRST in tensors:
        tensors = {**tensors, _FIRST: _for_channels_of(own[_FIRST], tensors[_FIRST])}
    common = {name: value for name, value in tensors.items() if name in own}
    differing = differing_layers(common, own)
    if differing:
        raise WeightsError(f"{path}: is of another architecture or preset: {differing}; choose the preset that fits.")
    if _FIRST not in common:
        raise WeightsError(f"{path}: holds no {_FIRST}; give a ResNet's state dict or a model.safetensors of a run.")
    with torch.no_grad():
        for name, value in common.items():
            own[name].copy_(value)
    return Start(tuple(common), _missing(own, common), _missing(tensors, common))


def _for_channels_of(own: Tensor, weight: Tensor) -> Tensor:
    """`weight` (out, in, k, k) for as many inputs as `own` has; as it is where something else differs, too."""
    one_input = own[:, :1].shape
    if weight.shape == own.shape or weight[:, :1].shape != one_input:
        return weight
    mean = weight.float().mean(1, keepdim=True)
    return mean.expand_as(own) * (weight.shape[1] / own.shape[1])


def _missing(names: Mapping[str, Tensor], among: Mapping[str, Tensor]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in among)


def _modules(names: tuple[str, ...]) -> str:
    """Top-level names, and `running statistics` for what only a BatchNorm has."""
    statistics = [name for name in names if name.rpartition(".")[2].startswith(("running_", "num_batches"))]
    tops = dict.fromkeys(name.partition(".")[0] for name in names if name not in statistics)
    return ", ".join([*tops, *(["running statistics"] if statistics else [])])
