"""Weights in and out: one flat vector on the wire, safetensors on the disk; no pickle is read or written."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from bloodnet_model.errors import WeightsError
from bloodnet_model.files import write_whole
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.settings import ModelSettings, validated

_HEADER = "bloodnet"
_NAMED = 3


def flat_weights(network: BloodNet) -> NDArray[np.float32]:
    """All that two sites must agree on as one float32 vector: the parameters, then a BatchNorm's running statistics.

    One array instead of some eighty: on the wire each array costs requests of its own.
    """
    parts = [part.detach().float().cpu().contiguous().flatten() for part in _parts(network)]
    return np.asarray(torch.cat(parts).numpy())


def set_flat_weights(network: BloodNet, weights: NDArray[np.float32]) -> None:
    """Put a flat vector into `network`; raises WeightsError where its length does not fit."""
    expected = sum(part.numel() for part in _parts(network))
    if weights.shape != (expected,):
        raise WeightsError(
            f"Received weights of shape {weights.shape}, but this network has ({expected},); "
            "run the same version and preset on both sides."
        )
    position = 0
    with torch.no_grad():
        for part in _parts(network):
            received = weights[position : position + part.numel()]
            part.copy_(torch.from_numpy(np.array(received)).view(part.shape))
            position += part.numel()


def _parts(network: BloodNet) -> list[Tensor]:
    return [*network.parameters(), *(buffer for buffer in network.buffers() if buffer.is_floating_point())]


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
