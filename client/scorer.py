"""A network that scores studies, whatever file it is in and whatever runs it: weights for PyTorch, or an export."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from bloodnet_model.device import best_device
from bloodnet_model.errors import NoGpu
from bloodnet_model.graphs import Predict, graph_modules, in_pytorch, predictor
from bloodnet_model.operating_point import USUAL_SENSITIVITY, OperatingPoint
from bloodnet_model.settings import DeviceChoice, PreprocessingSettings
from bloodnet_model.weights import load_network
from client.exported import FORMATS, MANIFEST, load_exported
from client.run_record import record_of, validation_point
from client.workers import usable_cores

_WEIGHTS: Final = ".safetensors"
_GRAPHS: Final = (".onnx", ".xml")  # of an export; a .pt may as well be pickled weights


@dataclass(frozen=True)
class Scorer:
    """What a triage needs of a model.

    predict:         scores one study by its windows, as `preprocessing` has them
    operating_point: the model's own; None where no validation patients are known
    data:            what its run called its data; None where that is unknown
    runs_on:         for a person: `OpenVINO`, `PyTorch on the CPU`
    """

    preprocessing: PreprocessingSettings
    predict: Predict
    operating_point: OperatingPoint | None
    data: str | None
    runs_on: str


def load_scorer(model: Path, device: DeviceChoice = "auto") -> Scorer:
    """A model.safetensors, or an export: its folder or a file in it. Takes all cores that this process may use.

    Raises WeightsError, SettingsError or NoGpu, with the remedy, where it is none or cannot run here.
    """
    torch.set_num_threads(1)  # of each thread that takes a share of a study's slices
    beside = model.suffix != _WEIGHTS and (model.parent / MANIFEST).exists()
    if model.is_dir() or model.suffix in _GRAPHS or beside:
        return _exported(model if model.is_dir() else model.parent, device)
    network, settings = load_network(model)
    place = _place(device)
    cores = usable_cores(None) if place.type == "cpu" else 1
    graphs = in_pytorch(graph_modules(network.to(place), settings), place, cores)
    record = record_of(model, settings)
    return Scorer(
        settings.preprocessing,
        predictor(graphs, settings.preprocessing, settings.network.neighbours),
        validation_point(record, USUAL_SENSITIVITY) if record else None,
        record.run.data if record else None,
        f"PyTorch on the {'GPU' if place.type == 'cuda' else 'CPU'}",
    )


def _exported(folder: Path, device: DeviceChoice) -> Scorer:
    if device == "gpu":
        raise NoGpu(f"--device gpu: an export runs on the CPU; give the model.safetensors that {folder} was made of.")
    manifest, predict = load_exported(folder, usable_cores(None))
    runs_on = f"{FORMATS[manifest.format]} on the CPU"
    return Scorer(manifest.preprocessing, predict, manifest.operating_point, manifest.data, runs_on)


def _place(device: DeviceChoice) -> torch.device:
    try:
        return best_device(device)
    except NoGpu:
        raise NoGpu("--device gpu: PyTorch finds no GPU; install PyTorch with CUDA, or leave --device out.") from None
