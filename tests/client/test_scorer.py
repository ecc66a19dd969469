"""The door through which every model comes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bloodnet_model.errors import DataError, NoGpu, SettingsError, WeightsError
from bloodnet_model.network import build_network
from bloodnet_model.settings import ModelSettings
from bloodnet_model.weights import save_network
from client.export import export
from client.exported import format_module
from client.scorer import load_scorer
from tests.client.test_export import record


@pytest.fixture
def run(small: ModelSettings, tmp_path: Path) -> Path:
    """A run's folder, of which `model-best.safetensors` is another round's."""
    folder = tmp_path / "run"
    folder.mkdir()
    save_network(folder / "model.safetensors", build_network(small, 0), small)
    save_network(folder / "model-best.safetensors", build_network(small, 1), small)
    (folder / "metrics.json").write_text(json.dumps(record(small)))
    return folder


def test_a_run_says_its_threshold_of_its_last_weights_alone(run: Path) -> None:
    point = load_scorer(run / "model.safetensors", "cpu").operating_point
    assert point is not None
    assert point.rates.sensitivity.count == 19
    best = load_scorer(run / "model-best.safetensors", "cpu")
    assert (best.operating_point, best.data) == (None, None)
    (run / "model-best.safetensors").write_bytes((run / "model.safetensors").read_bytes())  # the last round is the best
    assert load_scorer(run / "model-best.safetensors", "cpu").operating_point == point


def test_a_run_that_kept_no_validation_scores_has_no_threshold(run: Path, small: ModelSettings) -> None:
    (run / "metrics.json").write_text(json.dumps(record(small, validation=None)))
    scorer = load_scorer(run / "model.safetensors", "cpu")
    assert (scorer.operating_point, scorer.data) == (None, "synthetic")


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2}'])
def test_damaged_metrics_are_named(run: Path, text: str) -> None:
    (run / "metrics.json").write_text(text)
    with pytest.raises(DataError, match=r"metrics\.json: cannot be read .*without it"):
        load_scorer(run / "model.safetensors", "cpu")


def test_folders_and_files_that_are_no_model_have_their_remedy(run: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"so it is no export; give .*run/model\.safetensors"):
        load_scorer(run)
    (tmp_path / "slices.onnx").write_bytes(b"alone")
    with pytest.raises(WeightsError, match="what `bloodnet-client export` wrote"):
        load_scorer(tmp_path / "slices.onnx")
    (tmp_path / "weights.pt").write_bytes(b"PK")
    with pytest.raises(WeightsError, match="pickled weights are not read"):
        load_scorer(tmp_path / "weights.pt")


def test_an_export_is_known_by_its_folder_and_by_its_files(run: Path, tmp_path: Path) -> None:
    export(run / "model.safetensors", "torchscript", tmp_path / "out", 0.95)
    windows = np.random.default_rng(0).integers(0, 256, (9, 2, 32, 24), dtype=np.uint8)
    expected = load_scorer(run / "model.safetensors", "cpu").predict(windows).probabilities
    for path in ("", "model.json", "slices.pt"):
        assert np.abs(load_scorer(tmp_path / "out" / path).predict(windows).probabilities - expected).max() < 1e-2


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(NoGpu, match="--device gpu: PyTorch finds no GPU"):
        load_scorer(run / "model.safetensors", "gpu")
    export(run / "model.safetensors", "torchscript", tmp_path / "out", 0.95)
    with pytest.raises(NoGpu, match="an export runs on the CPU"):
        load_scorer(tmp_path / "out", "gpu")


@pytest.mark.parametrize(("kind", "package"), [("onnx", "onnxruntime"), ("onnx", "onnx"), ("openvino", "openvino")])
def test_a_missing_extra_has_its_remedy(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"bloodnet_model.graphs_{kind}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SettingsError, match=rf"needs {package}.*pip install 'bloodnet-federation\[{kind}\]'"):
        format_module(kind)


def test_graphs_that_do_not_run_are_found_before_the_first_study(run: Path, tmp_path: Path) -> None:
    export(run / "model.safetensors", "torchscript", tmp_path / "out", 0.95)
    manifest = json.loads((tmp_path / "out" / "model.json").read_text())
    manifest["neighbours"] = 0
    (tmp_path / "out" / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match="TorchScript cannot run its graphs"):
        load_scorer(tmp_path / "out")


def test_openvino_reports_to_nobody() -> None:
    pytest.importorskip("openvino")
    script = (
        "import bloodnet_model.graphs_openvino, sys;"
        "from openvino.tools.ovc import telemetry_utils;"
        "print(sys.modules['openvino_telemetry'], telemetry_utils.tm.__name__)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["None", "openvino.tools.ovc.telemetry_stub"]
