"""Exports: what they hold, that they agree with PyTorch, and what is said of a damaged one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bloodnet_model.batches import slice_stack
from bloodnet_model.errors import DataError, SettingsError, WeightsError
from bloodnet_model.metrics import ScoreHistogram, summary
from bloodnet_model.network import build_network
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.study import Study
from bloodnet_model.weights import load_network, save_network
from client.export import export
from client.exported import FORMATS
from client.scorer import load_scorer
from tests.client.dicom_factory import write_series
from tests.test_commands import call

SMALLER = {"preprocessing": {"rows": 32, "columns": 32, "spacing_mm": 6.0}}


def saved(folder: Path, settings: ModelSettings, seed: int = 0) -> Path:
    """A network whose scores spread, as a trained one's do."""
    network = build_network(settings, seed)
    with torch.no_grad():
        network.classify.weight.mul_(8)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.safetensors"
    save_network(path, network, settings)
    return path


def record(settings: ModelSettings, **changes: Any) -> dict[str, Any]:
    """A `metrics.json` of a run: 40 validation and 40 test patients, half of them with blood."""
    labels = np.arange(40) % 2
    histogram = ScoreHistogram.from_scores(np.where(labels == 1, 0.5, 0.2) + np.arange(40) / 100, labels)
    counts = {"positives": histogram.positives.tolist(), "negatives": histogram.negatives.tolist()}
    scores = {"pooled": {"any": summary(histogram)}, "sites": {"a": {"any": summary(histogram)}}}
    scored = {**scores, "dice": 0.5, "histograms": {"any": counts}}
    run = {"name": "one", "data": "synthetic", "strategy": "fedavg", "rounds": 1, "preset": settings.preset}
    return {
        "schema": 1,
        "run": {**run, "link": settings.network.link, "parameters": 9, "seed": 3},
        "sites": {"a": {"counts": {"train-studies": 7, "train-positive": 3}}},
        "rounds": [{"round": 1, "seconds": 1, "sites": {}, "train_loss": None, "validation": scores}],
        "validation": scored,
        "test": scored,
        **changes,
    }


def windows(settings: ModelSettings, slices: int) -> NDArray[np.uint8]:
    grid = settings.preprocessing
    shape = (slices, len(grid.windows_hu), grid.rows, grid.columns)
    return np.random.default_rng(slices).integers(0, 256, shape, dtype=np.uint8)


@torch.inference_mode()
def in_float32(model: Path, study: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    """Probabilities of the study and its slices, and the mask, by the network as it is trained."""
    network, settings = load_network(model)
    nothing = np.zeros((len(study), 1, 1), np.uint8)
    labels = np.zeros((len(study), 6), np.int8)
    whole = Study(study, labels[0], labels, nothing, np.zeros(len(study), bool))
    output = network.eval()(slice_stack(whole, np.arange(len(study)), settings.network.neighbours))
    of_study = network.study_logits(output.features[None], output.slice_logits[None])[0]
    parts = (torch.sigmoid(of_study), torch.sigmoid(output.slice_logits), output.mask_logits[:, 0] > 0)
    return tuple(part.numpy() for part in parts)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_an_export_agrees_with_pytorch_whatever_the_number_of_slices(kind: str, preset: str, tmp_path: Path) -> None:
    settings = model_settings(preset, **SMALLER)
    model = saved(tmp_path / "run", settings)
    export(model, kind, tmp_path / "out", 0.95)
    exported = load_scorer(tmp_path / "out")
    for slices in (1, 2, 23, 100):
        study = windows(settings, slices)
        ours, (probabilities, by_slice, mask) = exported.predict(study), in_float32(model, study)
        assert np.abs(ours.probabilities - probabilities).max() < 1e-3
        assert np.abs(ours.slice_probabilities - by_slice).max() < 1e-3
        assert (ours.mask != mask).mean() < 1e-3
    manifest = json.loads((tmp_path / "out" / "model.json").read_text())
    assert manifest["difference"] <= 1e-3


@pytest.mark.parametrize("link", ["shuffled", "oracle"])
def test_a_control_of_the_ablation_is_refused(link: str, tmp_path: Path) -> None:
    model = saved(tmp_path / "run", model_settings("tiny", network={"link": link}, **SMALLER))
    with pytest.raises(SettingsError, match="is a control of the ablation"):
        export(model, "torchscript", tmp_path / "out", 0.95)
    assert not (tmp_path / "out").exists()


def test_an_export_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = saved(tmp_path / "run", model_settings("tiny", **SMALLER))
    monkeypatch.setattr("client.export.LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(WeightsError, match="nothing was written"):
        export(model, "torchscript", tmp_path / "out", 0.95)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_card_says_what_the_run_knows(tmp_path: Path) -> None:
    settings = model_settings("tiny", **SMALLER)
    model = saved(tmp_path / "run", settings)
    (model.parent / "metrics.json").write_text(json.dumps(record(settings)))
    manifest = export(model, "torchscript", tmp_path / "out", 0.9)
    assert manifest.operating_point is not None
    assert manifest.operating_point.rates.sensitivity.count == 18  # of 20, the nine tenths asked for
    card = (tmp_path / "out" / "model-card.md").read_text()
    for words in ("synthetic heads", "no medical device", "7 (3)", "0.9 (used)", "18 of 20", manifest.weights):
        assert words in card
    assert load_scorer(tmp_path / "out").operating_point == manifest.operating_point


def test_without_a_run_the_card_says_that_it_does_not_know(tmp_path: Path) -> None:
    model = saved(tmp_path / "run", model_settings("tiny", **SMALLER))
    manifest = export(model, "torchscript", tmp_path / "out", 0.95)
    assert manifest.operating_point is None
    card = (tmp_path / "out" / "model-card.md").read_text()
    assert card.count("Unknown: ") == 3


def test_figures_of_another_run_are_refused(tmp_path: Path) -> None:
    settings = model_settings("tiny", **SMALLER)
    model = saved(tmp_path / "run", settings)
    other = record(settings)
    other["run"]["link"] = "single"
    (model.parent / "metrics.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match="folder of its own run"):
        export(model, "torchscript", tmp_path / "out", 0.95)


def test_a_damaged_export_names_its_file(tmp_path: Path) -> None:
    model = saved(tmp_path / "run", model_settings("tiny", **SMALLER))
    export(model, "torchscript", tmp_path / "out", 0.95)
    graph = tmp_path / "out" / "slices.pt"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"slices\.pt: is not the file that was exported"):
        load_scorer(tmp_path / "out")
    graph.unlink()
    with pytest.raises(WeightsError, match=r"slices\.pt: cannot be read"):
        load_scorer(graph.parent)
    (tmp_path / "out" / "model.json").write_text("{")
    with pytest.raises(WeightsError, match=r"model\.json: is damaged"):
        load_scorer(tmp_path / "out")
    with pytest.raises(WeightsError, match=r"holds no model\.json"):
        load_scorer(tmp_path)


def test_as_a_coordinator_and_a_hospital_type_it(tmp_path: Path) -> None:
    settings = model_settings("tiny", **SMALLER)
    model = saved(tmp_path / "run", settings)
    (model.parent / "metrics.json").write_text(json.dumps(record(settings)))
    write_series(tmp_path / "in" / "one")
    shown = call("bloodnet-client", "export", "--model", model, "--format", "onnx", "--out", "out", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "sensitivity 0.95 on the run's validation patients (19 of 20 flagged)" in shown.stdout
    shown = call("bloodnet-client", "triage", "in", "--model", "out", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "ONNX Runtime on the CPU" in shown.stdout
    assert "sensitivity 0.95" in shown.stdout
    for words, sentence in (
        (("--format", "onx", "--out", "new"), "choose one of onnx, openvino, torchscript"),
        (("--format", "onnx", "--out", "out"), "not an empty folder"),
        (("--sensitivity", "95", "--out", "new"), "is no share of patients"),
    ):
        shown = call("bloodnet-client", "export", "--model", model, *words, cwd=tmp_path)
        assert (shown.returncode, len(shown.stderr.strip().splitlines())) == (2, 1), shown.stderr
        assert sentence in shown.stderr
    assert not (tmp_path / "new").exists()
    shown = call("bloodnet-client", "triage", "in", "--model", "out", "--device", "gpu", cwd=tmp_path)
    assert shown.returncode == 2
    assert "an export runs on the CPU" in shown.stderr
