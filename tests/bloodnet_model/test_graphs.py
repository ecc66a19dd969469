from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from bloodnet_model.errors import SettingsError
from bloodnet_model.graphs import (
    Arrays,
    Graphs,
    graph_modules,
    in_pytorch,
    on_cores,
    predict_by_graphs,
    predictor,
    runnable,
)
from bloodnet_model.network import build_network
from bloodnet_model.prediction import Prediction, predict_study
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.study import Study

GRID = {"rows": 32, "columns": 24, "spacing_mm": 6.0}
NEIGHBOURS = 1


def windows(slices: int, settings: ModelSettings) -> NDArray[np.uint8]:
    grid = settings.preprocessing
    shape = (slices, len(grid.windows_hu), grid.rows, grid.columns)
    return np.random.default_rng(slices).integers(0, 256, shape, dtype=np.uint8)


def predicted(settings: ModelSettings, study: NDArray[np.uint8]) -> Prediction:
    """By the function that evaluates a federation."""
    slices = len(study)
    labels, mask = (
        np.zeros((slices, 6), np.int8),
        np.zeros((slices, *(size // 2 for size in study.shape[2:])), np.uint8),
    )
    return predict_study(
        build_network(settings, 0), Study(study, labels[0], labels, mask, np.zeros(slices, bool)), settings
    )


class Counting:
    """Graphs that give the brightness of each slice back as its logits; they keep what they are called with."""

    def __init__(self, cores: int) -> None:
        self.sizes: list[list[int]] = []
        self.graphs = Graphs(self.slices, lambda features, _: (features.mean(0),), cores)

    def slices(self, parts: Sequence[NDArray[np.uint8]]) -> list[Arrays]:
        self.sizes.append([len(part) - 2 * NEIGHBOURS for part in parts])
        return [self._slices(part[NEIGHBOURS:-NEIGHBOURS, 0, 0, :1]) for part in parts]

    def _slices(self, brightness: NDArray[np.uint8]) -> Arrays:
        logits = np.array(brightness / 100, np.float32)  # (slices, 1)
        return logits[:, None].repeat(2, 1) - np.float32(0.155), logits.repeat(6, 1), logits


@given(slices=st.integers(1, 250), cores=st.integers(1, 9))
def test_every_slice_is_scored_once_and_in_order(slices: int, cores: int) -> None:
    counting = Counting(cores)
    brightness = np.arange(slices, dtype=np.uint8)
    prediction = predict_by_graphs(counting.graphs, brightness[:, None, None, None], NEIGHBOURS)
    (sizes,) = counting.sizes
    assert sum(sizes) == slices
    assert max(sizes) <= 8
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == slices or len(sizes) % cores == 0
    assert np.allclose(prediction.slice_probabilities, expit(brightness[:, None] / 100), atol=1e-6)
    assert np.array_equal(prediction.mask[:, 0, 0], brightness > 15)
    assert prediction.probabilities == pytest.approx(brightness.mean() / 100, rel=1e-5)


def test_a_probability_that_is_no_number_is_not_ranked() -> None:
    counting = Counting(1)
    graphs = counting.graphs._replace(study=lambda features, _: (features.mean(0) * np.float32("nan"),))
    with pytest.raises(FloatingPointError):
        predict_by_graphs(graphs, np.zeros((3, 1, 1, 1), np.uint8), NEIGHBOURS)


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_graphs_say_what_the_evaluation_says(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bloodnet_model.device.has_fast_bfloat16", lambda device: False)
    settings = model_settings(preset, preprocessing=GRID)
    study = windows(21, settings)
    expected = predicted(settings, study)
    for cores in (1, 3):
        graphs = in_pytorch(graph_modules(build_network(settings, 0), settings), torch.device("cpu"), cores)
        prediction = predict_by_graphs(graphs, study, NEIGHBOURS)
        assert np.allclose(prediction.probabilities, expected.probabilities, atol=1e-5)
        assert np.allclose(prediction.slice_probabilities, expected.slice_probabilities, atol=1e-5)
        assert (prediction.mask != expected.mask).mean() < 1e-3


@pytest.mark.parametrize("kind", ["torchscript", "openvino", "onnx"])
@pytest.mark.parametrize(
    "network",
    [{"link": "attention", "norm": "batch", "norm_from": 1, "mask_channels": 1, "neighbours": 0}, {"link": "single"}],
    ids=["attention", "single"],
)
def test_other_links_and_norms_are_written_too(kind: str, network: dict[str, object], tmp_path: Path) -> None:
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}.get(kind, "torch"))
    settings = model_settings("tiny", preprocessing=GRID, network=network)
    modules = graph_modules(build_network(settings, 0), settings)
    formats = import_module(f"bloodnet_model.graphs_{kind}")
    formats.write(modules, tmp_path)
    study, neighbours = windows(11, settings), settings.network.neighbours
    plain = Graphs(on_cores(runnable(modules.slices), 1), runnable(modules.study), 1)
    ours, theirs = (predict_by_graphs(graphs, study, neighbours) for graphs in (formats.load(tmp_path, 2), plain))
    assert np.abs(ours.probabilities - theirs.probabilities).max() < 1e-5
    assert np.abs(ours.slice_probabilities - theirs.slice_probabilities).max() < 1e-5


def test_a_predictor_has_scored_one_slice_of_air(small: ModelSettings) -> None:
    counting = Counting(4)
    predictor(counting.graphs, small.preprocessing, NEIGHBOURS)
    assert counting.sizes == [[1]]


@pytest.mark.parametrize("link", ["shuffled", "oracle"])
def test_a_control_has_no_graphs(link: str) -> None:
    settings = model_settings("tiny", preprocessing=GRID, network={"link": link})
    with pytest.raises(SettingsError, match="is a control of the ablation"):
        graph_modules(build_network(settings, 0), settings)
