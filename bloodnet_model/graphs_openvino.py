"""The network's graphs as OpenVINO IR: `slices.xml`, `study.xml` and their weights."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from bloodnet_model.graphs import INPUTS, OUTPUTS, SLICES, STUDY, Arrays, Graphs, Modules, quiet

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # a hospital's machine reports to nobody
import openvino  # noqa: E402

SUFFIX: Final = ".xml"

_PRECISION: Final = {"INFERENCE_PRECISION_HINT": "f32"}
"""OpenVINO would take bfloat16 where the processor has it: twice as fast, and off by more than 1e-3; docs/triage.md."""


def write(modules: Modules, folder: Path) -> None:
    _write(modules.slices, SLICES, (modules.windows,), folder)
    _write(modules.study, STUDY, (modules.features, modules.slice_logits), folder)


def _write(module: nn.Module, name: str, examples: tuple[Tensor, ...], folder: Path) -> None:
    shapes = [openvino.PartialShape([-1, *example.shape[1:]]) for example in examples]
    with quiet():
        model = openvino.convert_model(module, example_input=examples, input=shapes)
    for ports, names in ((model.inputs, INPUTS[name]), (model.outputs, OUTPUTS[name])):
        for port, port_name in zip(ports, names, strict=True):
            port.get_tensor().set_names({port_name})
    openvino.save_model(model, folder / f"{name}{SUFFIX}", compress_to_fp16=False)


def load(folder: Path, cores: int) -> Graphs:
    slices, study = (_compiled(folder, name, cores) for name in (SLICES, STUDY))

    def of_each(parts: Sequence[NDArray[np.uint8]]) -> list[Arrays]:
        """By OpenVINO's own queue: its Python interface can block for ever where two threads call it at once."""
        outputs: list[Arrays] = [()] * len(parts)

        def keep(request: openvino.InferRequest, place: int) -> None:
            outputs[place] = tuple(np.array(tensor.data) for tensor in request.output_tensors)

        queue = openvino.AsyncInferQueue(slices, cores)
        queue.set_callback(keep)
        for place, part in enumerate(parts):
            queue.start_async([part], place)
        queue.wait_all()
        return outputs

    return Graphs(of_each, lambda *arrays: tuple(study(list(arrays)).to_tuple()), cores)


def _compiled(folder: Path, name: str, cores: int) -> openvino.CompiledModel:
    core = openvino.Core()
    properties = {**_PRECISION, "NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
    return core.compile_model(core.read_model(folder / f"{name}{SUFFIX}"), "CPU", properties)
