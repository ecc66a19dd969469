"""The network's graphs as OpenVINO IR: `slices.xml`, `study.xml` and their weights."""

import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from bloodnet_model.graphs import INPUTS, OUTPUTS, SLICES, STUDY, Arrays, Graph, Graphs, Modules, on_cores, quiet

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
    return Graphs(on_cores(_compiled(folder, SLICES, cores), cores), _compiled(folder, STUDY, cores), cores)


def _compiled(folder: Path, name: str, cores: int) -> Graph:
    core = openvino.Core()
    properties = {**_PRECISION, "NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
    compiled = core.compile_model(core.read_model(folder / f"{name}{SUFFIX}"), "CPU", properties)

    def run(*arrays: NDArray[np.generic]) -> Arrays:
        request = compiled.create_infer_request()  # one cannot serve two threads
        return tuple(request.infer(list(arrays)).to_tuple())

    return run
