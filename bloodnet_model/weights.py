"""Weights in and out: one flat vector on the wire, safetensors on the disk; no pickle is read or written."""

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from bloodnet_model.errors import SettingsError, WeightsError
from bloodnet_model.files import write_whole
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.settings import ModelSettings, validated

_HEADER = "bloodnet"
_NAMED = 3


def flat_weights(network: BloodNet) -> NDArray[np.float32]:
    """All that two sites must agree on as one float32 vector: the parameters, then a BatchNorm's running statistics.

    One array instead of some eighty: on the wire each array costs requests of its own.
    """
    return _joined(part for _, part in _named_parts(network))


def set_flat_weights(network: BloodNet, weights: NDArray[np.float32]) -> None:
    """Put a flat vector into `network`; raises WeightsError where its length does not fit."""
    parts = [part for _, part in _named_parts(network)]
    with torch.no_grad():
        for part, values in zip(parts, _split(weights, parts), strict=True):
            part.copy_(values)


def by_parameter(network: BloodNet, flat: NDArray[np.float32]) -> list[Tensor]:
    """A flat vector, laid out as the weights are, as one tensor a parameter, on its device and in its layout.

    Raises WeightsError where its length does not fit.
    """
    parts = [part for _, part in _named_parts(network)]
    values = zip(network.parameters(), _split(flat, parts), strict=False)  # without running statistics
    return [torch.empty_like(parameter).copy_(of) for parameter, of in values]


def flat_from_parameters(network: BloodNet, values: Iterable[Tensor]) -> NDArray[np.float32]:
    """One tensor a parameter as a flat vector laid out as the weights are; 0 for running statistics."""
    names = {name for name, _ in network.named_parameters()}
    others = (torch.zeros_like(part) for name, part in _named_parts(network) if name not in names)
    return _joined([*values, *others])


def decoder_positions(network: BloodNet) -> slice:
    """Where in a flat vector the weights are that masks teach: decoder and mask head, which lie side by side.

    A BatchNorm's running statistics in the decoder lie behind all weights, and are not among them.
    """
    names = {name for name, _ in network.named_parameters() if name.startswith(("decoder.", "mask_head."))}
    found = np.flatnonzero(_chosen(network, names))
    return slice(int(found[0]), int(found[-1]) + 1)


def norm_positions(network: BloodNet) -> NDArray[np.bool_]:
    """Which values of a flat vector (parameters,) belong to norm layers, a BatchNorm's running statistics among them.

    Raises SettingsError where the network has no norm layer.
    """
    norms = [name for name, module in network.named_modules() if isinstance(module, nn.GroupNorm | nn.BatchNorm2d)]
    if not norms:
        raise SettingsError("network.norm_from: no layer is that wide, so there is no norm to keep; lower it.")
    return _chosen(network, {name for name, _ in _named_parts(network) if name.rpartition(".")[0] in norms})


def _named_parts(network: BloodNet) -> list[tuple[str, Tensor]]:
    """What a flat vector is made of, in its order."""
    buffers = (named for named in network.named_buffers() if named[1].is_floating_point())
    return [*network.named_parameters(), *buffers]


def _chosen(network: BloodNet, names: Container[str]) -> NDArray[np.bool_]:
    return np.concatenate([np.full(part.numel(), name in names) for name, part in _named_parts(network)])


def _joined(parts: Iterable[Tensor]) -> NDArray[np.float32]:
    flat = [part.detach().float().cpu().contiguous().flatten() for part in parts]
    return np.asarray(torch.cat(flat).numpy())


def _split(flat: NDArray[np.float32], parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """The values of each part, in its shape."""
    expected = sum(part.numel() for part in parts)
    if flat.shape != (expected,):
        raise WeightsError(
            f"Received weights of shape {flat.shape}, but this network has ({expected},); "
            "run the same version and preset on both sides."
        )
    position = 0
    for part in parts:
        values = flat[position : position + part.numel()]
        yield torch.from_numpy(np.array(values)).view(part.shape)
        position += part.numel()


def save_network(path: Path, network: BloodNet, settings: ModelSettings) -> None:
    """Write weights and settings as one safetensors file; equal weights give equal bytes."""
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    write_whole(path, save(tensors, {_HEADER: settings.model_dump_json()}))


def load_network(path: Path) -> tuple[BloodNet, ModelSettings]:
    """Read what `save_network` wrote; raises WeightsError, naming the file, where it is something else."""
    tensors = read_tensors(path)
    with safe_open(path, framework="pt") as file:
        header = (file.metadata() or {}).get(_HEADER)
    if header is None:
        raise WeightsError(f"{path}: holds no BloodNet settings; give a model.safetensors of a run folder.")
    try:
        settings = validated(ModelSettings, json.loads(header), where=path.name)
    except ValueError:
        raise WeightsError(f"{path}: its BloodNet settings are damaged; copy the file again.") from None
    network = build_network(settings, seed=0)
    own = network.state_dict()
    differing = differing_layers(tensors, own) or ", ".join(f"{name} is missing" for name in own if name not in tensors)
    if differing:
        raise WeightsError(f"{path}: its tensors are not those of its settings: {differing}; copy the file again.")
    network.load_state_dict(tensors)
    return network, settings


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; raises WeightsError, with the remedy, where it is none."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such file; name a .safetensors file.") from None
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path}: is not a readable safetensors file ({type(error).__name__}); pickled weights are not read, "
            "convert them with safetensors.torch.save_file."
        ) from None


def differing_layers(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """The first few of `tensors` that `own` has in another shape or not at all, in words; empty where there is none."""
    differing = []
    for name, value in tensors.items():
        if name not in own:
            differing.append(f"{name} is unknown here")
        elif value.shape != own[name].shape:
            differing.append(f"{name} is {tuple(value.shape)} there and {tuple(own[name].shape)} here")
    more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
    return ", ".join(differing[:_NAMED]) + more
