"""The network as two graphs that run without PyTorch, and a whole study's scores from them, in bounded memory.

    windows of a few consecutive slices ──► slice graph ──► features, slice logits (of all slices) ──► study graph

Two, because a study has any number of slices: the first takes a few at a time, the second only small vectors of all.
The formats they are written in are one file each: `graphs_onnx`, `graphs_openvino`, `graphs_torchscript`.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from bloodnet_model.device import autocast
from bloodnet_model.doubling import cheaper
from bloodnet_model.errors import SettingsError
from bloodnet_model.network import BloodNet, LogSumExpHead
from bloodnet_model.prediction import Prediction
from bloodnet_model.settings import Link, ModelSettings, PreprocessingSettings
from bloodnet_model.threads import in_threads

SLICES: Final = "slices"
STUDY: Final = "study"
INPUTS: Final = {SLICES: ("windows",), STUDY: ("features", "slice_logits")}
OUTPUTS: Final = {SLICES: ("mask_logits", "slice_logits", "features"), STUDY: ("probabilities",)}
"""Names of each graph's inputs and outputs, in the order of its `forward`."""

_SLICES_AT_ONCE: Final = 8
"""The most that a core takes at a time; more are no faster, only larger."""
_CPU: Final = torch.device("cpu")
_CONTROLS: Final[tuple[Link, ...]] = ("shuffled", "oracle")

Arrays = tuple[NDArray[np.float32], ...]
Graph = Callable[..., Arrays]
"""Arrays in the order of `INPUTS`, arrays out in the order of `OUTPUTS`."""

Predict = Callable[[NDArray[np.uint8]], Prediction]
"""Scores one study by its windows, uint8 (slices, windows, rows, columns)."""


class Graphs(NamedTuple):
    """Both graphs, ready to run."""

    slices: Callable[[Sequence[NDArray[np.uint8]]], list[Arrays]]  # of each part, `cores` parts at a time
    study: Graph
    cores: int


class SliceGraph(nn.Module):
    """Consecutive slices, `neighbours` more of them at either end, to what `SliceOutput` holds of those between.

    windows: uint8 (slices + 2 * neighbours, windows, rows, columns), 0 and 255 are the ends of each window
    returns: mask logits of blood of any kind (slices, rows / 2, columns / 2), slice logits (slices, 6),
             features (slices, hidden)
    """

    def __init__(self, network: BloodNet, neighbours: int) -> None:
        super().__init__()
        self.network = network
        self.span = 2 * neighbours

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scaled = windows.float() * (2 / 255) - 1
        output = self.network(torch.cat([scaled[i : i - self.span or None] for i in range(self.span + 1)], 1))
        return output.mask_logits[:, 0], output.slice_logits, output.features


class StudyGraph(nn.Module):
    """Features (slices, hidden) and logits (slices, 6) of all slices, in order, to the study's probabilities (6,)."""

    def __init__(self, study_head: nn.Module) -> None:
        super().__init__()
        self.study_head = _LogSumExp() if isinstance(study_head, LogSumExpHead) else study_head

    def forward(self, features: Tensor, slice_logits: Tensor) -> Tensor:
        logits: Tensor = self.study_head(features[None], slice_logits[None])[0]
        return torch.sigmoid(logits)


class _LogSumExp(nn.Module):
    """`LogSumExpHead` with the slices counted in tensors: a tracer would write down the number of one study."""

    def forward(self, features: Tensor, slice_logits: Tensor) -> Tensor:
        return torch.logsumexp(slice_logits, 1) - 0.5 * torch.log(torch.ones_like(slice_logits).sum(1))


class Modules(NamedTuple):
    """Both graphs as PyTorch modules, with an example of their inputs, which exporters want."""

    slices: SliceGraph
    study: StudyGraph
    windows: Tensor
    features: Tensor
    slice_logits: Tensor


def graph_modules(network: BloodNet, settings: ModelSettings) -> Modules:
    """The modules of a network, on its device, ready to run. Raises SettingsError for a link that is a control."""
    refuse_control(settings.network.link)
    network = cheaper(network.eval(), settings).requires_grad_(False)
    slices, study = SliceGraph(network, settings.network.neighbours).eval(), StudyGraph(network.study_head).eval()
    count, grid = 5, settings.preprocessing
    shape = (count + 2 * settings.network.neighbours, len(grid.windows_hu), grid.rows, grid.columns)
    return Modules(
        slices,
        study,
        torch.zeros(shape, dtype=torch.uint8),
        torch.zeros(count, settings.network.hidden),
        torch.zeros(count, len(slices.network.classify.bias)),
    )


def refuse_control(link: Link) -> None:
    """Raises SettingsError where the network needs to be shown masks of another slice, or the true ones."""
    if link in _CONTROLS:
        raise SettingsError(
            f"link: {link!r} is a control of the ablation and scores no study of its own; take a model of another link."
        )


def in_pytorch(modules: Modules, device: torch.device, cores: int) -> Graphs:
    """The modules as they are on their device, in the precision that is fast there."""
    slices = runnable(modules.slices, device)

    def fast(part: NDArray[np.uint8]) -> Arrays:
        with autocast(device):
            return slices(part)

    return Graphs(on_cores(fast, cores), runnable(modules.study, device), cores)


def on_cores(graph: Graph, cores: int) -> Callable[[Sequence[NDArray[np.uint8]]], list[Arrays]]:
    """A graph that threads may share, for several parts at once."""
    return lambda parts: in_threads(graph, parts, cores)


def runnable(module: nn.Module, device: torch.device = _CPU) -> Graph:
    """A PyTorch module on a device as a graph, in the precision of its weights."""

    @torch.inference_mode()
    def run(*arrays: NDArray[np.generic]) -> Arrays:
        outputs = module(*(torch.from_numpy(array).to(device) for array in arrays))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(output.float().cpu().numpy() for output in outputs)

    return run


def predictor(graphs: Graphs, preprocessing: PreprocessingSettings, neighbours: int) -> Predict:
    """What scores studies by graphs, once it has scored one slice of air.

    So whatever a runtime does once is done, and graphs that do not run fail here, not at the first study.
    """

    def predict(windows: NDArray[np.uint8]) -> Prediction:
        return predict_by_graphs(graphs, windows, neighbours)

    predict(np.zeros((1, len(preprocessing.windows_hu), preprocessing.rows, preprocessing.columns), np.uint8))
    return predict


def predict_by_graphs(graphs: Graphs, windows: NDArray[np.uint8], neighbours: int) -> Prediction:
    """`bloodnet_model.prediction.predict_study` by graphs, of a study's `windows`.

    Raises FloatingPointError where a probability is no number: nobody could rank it.
    """
    outputs = graphs.slices(_parts(windows, neighbours, graphs.cores))
    mask_logits, slice_logits, features = (np.concatenate(arrays) for arrays in zip(*outputs, strict=True))
    (probabilities,) = graphs.study(features, slice_logits)
    if not np.isfinite(probabilities).all():
        raise FloatingPointError("a probability is no number")
    return Prediction(
        probabilities.astype(np.float64),
        expit(slice_logits.astype(np.float64)),
        mask_logits > 0,
    )


def _parts(windows: NDArray[np.uint8], neighbours: int, cores: int) -> list[NDArray[np.uint8]]:
    """Consecutive slices with their neighbours, the study's edges repeated; as many parts for each core."""
    slices = len(windows)
    count = cores * -(-slices // (cores * _SLICES_AT_ONCE))
    ends = np.linspace(0, slices, min(count, slices) + 1).round().astype(int)
    padded = np.pad(windows, ((neighbours, neighbours), (0, 0), (0, 0), (0, 0)), mode="edge")
    return [padded[start : end + 2 * neighbours] for start, end in pairwise(ends)]


@contextmanager
def quiet() -> Iterator[None]:
    """Without PyTorch's remarks on tracing: that TorchScript is deprecated, and what a trace fixes (no slice count)."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
