"""From 36 DICOM files to a score, preset `small`: PyTorch and the exports, against PyTorch in eager float32.

Models are loaded beforehand; measured is what a triage does with one study: headers, series, pixels, windows, network,
overlay. Eager float32 differs in the network alone: all slices at once, every operator split among the cores.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import dcmread

from benchmarks.files import series
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.operating_point import USUAL_SENSITIVITY
from bloodnet_model.prediction import Prediction
from bloodnet_model.settings import model_settings
from bloodnet_model.weights import save_network
from client.export import export
from client.exported import FORMATS
from client.scorer import Scorer, load_scorer
from client.triage import find_studies, triage
from client.workers import usable_cores

_SLICES, _TURNS = 36, 9
_EAGER: Final = "eager float32"
_AIMS_S: Final = {"pytorch": 0.6, "onnx": 0.35, "openvino": 0.35}
_PACKAGES: Final = {"onnx": "onnxruntime", "openvino": "openvino"}


def measure() -> dict[str, dict[str, float]]:
    """Seconds of each, taken in turns: the median, the least, and how many times eager float32's the median is."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_head(folder / "study")
        scorers = dict(_scorers(folder))
        seconds: dict[str, list[float]] = {name: [] for name in scorers}
        for turn in range(_TURNS + 1):
            for name, scorer in scorers.items():
                taken = _seconds(folder / "study", scorer)
                seconds[name] += [taken] if turn else []  # the first warms up
    return {name: _report(name, taken, seconds[_EAGER]) for name, taken in seconds.items()}


def _write_head(folder: Path) -> None:
    """Files as long as a scanner writes them, of pixels as small as a head's."""
    for path in series(folder, _SLICES):
        dataset = dcmread(path)
        dataset.PixelSpacing = [0.45, 0.45]
        dataset.save_as(path)


def _scorers(folder: Path) -> Iterator[tuple[str, Scorer]]:
    settings, model = model_settings("small"), folder / "model.safetensors"
    network = build_network(settings, 0)
    save_network(model, network, settings)
    pytorch = load_scorer(model, "cpu")
    yield _EAGER, replace(pytorch, predict=lambda windows: _eagerly(network.eval(), windows))
    yield "pytorch", pytorch
    for kind in FORMATS:
        if find_spec(_PACKAGES.get(kind, "torch")) is not None:
            export(model, kind, folder / kind, USUAL_SENSITIVITY)
            yield kind, load_scorer(folder / kind)


@torch.inference_mode()
def _eagerly(network: BloodNet, windows: NDArray[np.uint8]) -> Prediction:
    threads = torch.get_num_threads()
    torch.set_num_threads(usable_cores(None))
    slices = np.arange(len(windows))
    which = np.clip(slices[:, None] + np.arange(-1, 2), 0, len(windows) - 1)  # each slice and its two neighbours
    output = network(torch.from_numpy(windows[which]).flatten(1, 2).float() * (2 / 255) - 1)
    logits = network.study_logits(output.features[None], output.slice_logits[None])[0]
    torch.set_num_threads(threads)
    study, by_slice = (torch.sigmoid(part.double()).numpy() for part in (logits, output.slice_logits))
    return Prediction(study, by_slice, (output.mask_logits[:, 0] > 0).numpy())


def _seconds(study: Path, scorer: Scorer) -> float:
    started = perf_counter()
    (scored,) = triage(find_studies([study], lambda stage, done, total: None), scorer)
    assert scored.score is not None, scored
    return perf_counter() - started


def _report(name: str, taken: list[float], eager: list[float]) -> dict[str, float]:
    ratio = median(theirs / mine for theirs, mine in zip(eager, taken, strict=True))
    aim = f" (aim: at most {_AIMS_S[name]:.2f} s on two cores)" if name in _AIMS_S else ""
    print(f"  {name:<14}{median(taken):6.2f} s, least {min(taken):.2f} s: {ratio:.2f} times as fast{aim}")
    return {"median_s": round(median(taken), 3), "least_s": round(min(taken), 3), "ratio": round(ratio, 2)}
