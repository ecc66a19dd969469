"""The network's graphs as TorchScript: `slices.pt` and `study.pt`, for C++ and for PyTorch without this project."""

from pathlib import Path
from typing import Final

import torch
from torch import nn

from bloodnet_model.graphs import SLICES, STUDY, Graphs, Modules, on_cores, quiet, runnable

SUFFIX: Final = ".pt"


def write(modules: Modules, folder: Path) -> None:
    with quiet(), torch.no_grad():
        slices = torch.jit.trace(modules.slices, (modules.windows,))  # type: ignore[no-untyped-call]
        study = torch.jit.trace(modules.study, (modules.features, modules.slice_logits))  # type: ignore[no-untyped-call]
        torch.jit.save(torch.jit.freeze(slices), folder / f"{SLICES}{SUFFIX}")
        torch.jit.save(torch.jit.freeze(study), folder / f"{STUDY}{SUFFIX}")


def load(folder: Path, cores: int) -> Graphs:
    return Graphs(on_cores(runnable(_module(folder, SLICES)), cores), runnable(_module(folder, STUDY)), cores)


def _module(folder: Path, name: str) -> nn.Module:
    with quiet():
        module: nn.Module = torch.jit.load(folder / f"{name}{SUFFIX}", map_location="cpu")  # type: ignore[no-untyped-call]
    return module
