"""A GPU's work on a batch, recorded once and then repeated.

Launched one by one from Python, the small kernels of a step keep a fast GPU waiting for the next. A CUDA graph launches
all of them at once: the same kernels on the same places in memory, so the result is the same.
"""

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from bloodnet_model.batches import Batch

_UNRECORDED: Final = 3
"""Calls that come first, in which libraries load their kernels and take their memory: neither can be recorded."""


class Recorded:
    """`work` on batches of one shape, which sets the gradients of `parameters` from nothing and returns a tensor.

    On a CPU it is called each time. On a GPU nothing but the batch may be new from one call to the next, and what
    comes out lies in the same place each time: it holds until the next call.
    """

    def __init__(self, work: Callable[[Batch], Tensor], parameters: Sequence[nn.Parameter]) -> None:
        self._work, self._parameters = work, parameters
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch) -> Tensor:
        self._calls += 1
        if batch.slices.device.type != "cuda" or self._calls <= _UNRECORDED:
            return self._work(batch)
        graph = self._graph or self._record(batch)
        for name, place in vars(self._batch).items():
            place.copy_(getattr(batch, name))
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient  # whatever was put in its place since
        graph.replay()
        return self._result

    def _record(self, batch: Batch) -> torch.cuda.CUDAGraph:
        """Runs nothing: what is recorded is still to be replayed."""
        self._batch = Batch(**{name: torch.empty_like(tensor) for name, tensor in vars(batch).items()})
        graph = torch.cuda.CUDAGraph()
        # By default, what the thread that makes the next batch asks of the GPU would break the recording off.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._result = self._work(self._batch)
        self._gradients = [parameter.grad for parameter in self._parameters]
        self._graph = graph
        return graph
