"""The network's graphs as ONNX: `slices.onnx` and `study.onnx`."""

from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bloodnet_model.graphs import INPUTS, OUTPUTS, SLICES, STUDY, Arrays, Graph, Graphs, Modules, on_cores, quiet
from bloodnet_model.network import GruAttentionHead

SUFFIX: Final = ".onnx"

_ERRORS_ALONE: Final = 3  # of ONNX Runtime's levels of severity

_GRU_STUDY: Final = """
<ir_version: 10, opset_import: ["" : 20]>
study (float[slices, HIDDEN] features, float[slices, CLASSES] slice_logits) => (float[CLASSES] probabilities)
{
    first = Constant <value_ints = [0]> ()
    second = Constant <value_ints = [1]> ()
    joined = Constant <value_ints = [0, -1]> ()
    sequence = Unsqueeze (features, second)
    directions = GRU <direction = "bidirectional", hidden_size = STATE, linear_before_reset = 1> (
        sequence, input_weights, state_weights, biases)
    states = Reshape (directions, joined)
    attention = Gemm <transB = 1> (states, attention_weight, attention_bias)
    share = Softmax <axis = 0> (attention)
    of_states = Gemm <transB = 1> (states, classify_weight, classify_bias)
    of_slices = Add (of_states, slice_logits)
    weighted = Mul (share, of_slices)
    logits = ReduceSum <keepdims = 0> (weighted, first)
    probabilities = Sigmoid (logits)
}
"""
"""`GruAttentionHead` in ONNX's own text: PyTorch 2.13 exports no GRU over a number of slices that varies."""


def write(modules: Modules, folder: Path) -> None:
    _export(modules.slices, SLICES, (modules.windows,), folder)
    head = modules.study.study_head
    if isinstance(head, GruAttentionHead):
        onnx.save_model(_gru_study(head), folder / f"{STUDY}{SUFFIX}")
    else:
        _export(modules.study, STUDY, (modules.features, modules.slice_logits), folder)


def load(folder: Path, cores: int) -> Graphs:
    return Graphs(on_cores(_session(folder, SLICES), cores), _session(folder, STUDY), cores)


def _export(module: nn.Module, name: str, examples: tuple[Tensor, ...], folder: Path) -> None:
    with quiet():
        torch.onnx.export(
            module,
            examples,
            folder / f"{name}{SUFFIX}",
            input_names=INPUTS[name],
            output_names=OUTPUTS[name],
            dynamic_shapes=tuple({0: "slices"} for _ in examples),
            external_data=False,
            verbose=False,
        )


def _gru_study(head: GruAttentionHead) -> onnx.ModelProto:
    """The study graph of a GRU head, with its weights."""
    gru, classes = head.gru, len(head.classify.bias)
    numbers = {"HIDDEN": gru.input_size, "CLASSES": classes, "STATE": gru.hidden_size}
    text = _GRU_STUDY
    for word, number in numbers.items():
        text = text.replace(word, str(number))
    model = onnx.parser.parse_model(text)
    weights = {
        "input_weights": _both_directions(head, "weight_ih"),
        "state_weights": _both_directions(head, "weight_hh"),
        "biases": torch.cat([_both_directions(head, "bias_ih"), _both_directions(head, "bias_hh")], 1),
        "attention_weight": head.attention.weight,
        "attention_bias": head.attention.bias,
        "classify_weight": head.classify.weight,
        "classify_bias": head.classify.bias,
    }
    model.graph.initializer.extend(onnx.numpy_helper.from_array(w.detach().numpy(), n) for n, w in weights.items())
    onnx.checker.check_model(model, full_check=True)
    return model


def _both_directions(head: GruAttentionHead, name: str) -> Tensor:
    """One kind of a GRU's weights (2, 3 * state, ...), in ONNX's order of gates: update, reset, new."""
    stacked = []
    for direction in ("l0", "l0_reverse"):
        reset, update, new = getattr(head.gru, f"{name}_{direction}").chunk(3)
        stacked.append(torch.cat([update, reset, new]))
    return torch.stack(stacked)


def _session(folder: Path, name: str) -> Graph:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, _ERRORS_ALONE
    session = onnxruntime.InferenceSession(folder / f"{name}{SUFFIX}", options, providers=["CPUExecutionProvider"])

    def run(*arrays: NDArray[np.generic]) -> Arrays:
        return tuple(session.run(list(OUTPUTS[name]), dict(zip(INPUTS[name], arrays, strict=True))))

    return run
