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
    return Graphs(lambda parts: _of_each(slices, parts), lambda *arrays: _of_each(study, [arrays])[0], cores)


def _compiled(folder: Path, name: str, cores: int) -> openvino.CompiledModel:
    core = openvino.Core()
    properties = {**_PRECISION, "NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores, "ENABLE_CPU_PINNING": False}
    return core.compile_model(core.read_model(folder / f"{name}{SUFFIX}"), "CPU", properties)


def _of_each(compiled: openvino.CompiledModel, parts: Sequence[NDArray[np.uint8] | Arrays]) -> list[Arrays]:
    """All parts at once, which OpenVINO shares out among its own threads.

    Calls from several Python threads were shared out unevenly, and their first ones could wait for each other for ever.
    """
    requests = []
    for part in parts:
        requests.append(compiled.create_infer_request())
        requests[-1].start_async(list(part) if isinstance(part, tuple) else [part])
    for request in requests:
        request.wait()
    return [tuple(np.array(tensor.data) for tensor in request.output_tensors) for request in requests]
