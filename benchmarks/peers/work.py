"""The work that all contenders are given. It needs PyTorch alone, and nothing of this project.

A contender finds the first model in its folder and leaves there what the last one's magnitudes add up to: the same for
all of them if they did the same work.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

CLIENTS: Final = 4
ROUNDS: Final = 3
AT_ONCE: Final = 2
"""Clients that work side by side, one thread each, where a contender lets it be chosen."""

FIRST: Final = "first.npz"
LAST: Final = "last.json"

_GROWTH: Final = 1.001
_COLUMNS: Final = 128

Arrays = list[NDArray[np.float32]]


class Model(torch.nn.Module):
    """Nothing but the parameters of the first model."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder
        self.arrays = torch.nn.ParameterList(torch.from_numpy(array) for array in first_arrays(Path(folder)))


def first_arrays(folder: Path) -> Arrays:
    with np.load(folder / FIRST) as arrays:
        return [arrays[name] for name in arrays.files]


def answer(arrays: Sequence[NDArray[np.float32]], steps: int) -> Arrays:
    """What a client sends back: the arrays after so many steps of AdamW; after none, all numbers a thousandth larger.

    A step asks of every matrix that its products with fixed random columns be small.
    """
    if not steps:
        return [array * np.float32(_GROWTH) for array in arrays]
    torch.set_num_threads(1)
    parameters = [torch.nn.Parameter(torch.from_numpy(np.array(array))) for array in arrays]
    matrices = [parameter for parameter in parameters if parameter.dim() > 1]
    columns = [_columns(matrix[0].numel()) for matrix in matrices]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    for _ in range(steps):
        optimizer.zero_grad()
        products = [matrix.flatten(1) @ each for matrix, each in zip(matrices, columns, strict=True)]
        torch.stack([product.square().mean() for product in products]).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return [parameter.detach().numpy() for parameter in parameters]


def _columns(values: int) -> torch.Tensor:
    """The same for equal matrices, in whatever order a contender hands them over."""
    return torch.randn(values, _COLUMNS, generator=torch.Generator().manual_seed(values))


def magnitude(arrays: Iterable[Any]) -> float:
    """The sum of the magnitudes of all numbers."""
    return sum(float(np.abs(np.asarray(array, np.float64)).sum()) for array in arrays)


def leave(folder: Path, arrays: Iterable[Any]) -> None:
    """Write down what the last model's magnitudes add up to."""
    (folder / LAST).write_text(json.dumps(magnitude(arrays)))
