"""From a federation's run to a worklist, with the threshold that its validation patients give."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.operating_point import operating_point
from bloodnet_model.run_metrics import load_metrics
from client.export import export
from client.scorer import load_scorer
from client.triage import find_studies, ranked, triage
from client.worklist import choose_threshold, lines
from simulation.federation import simulate
from simulation.settings import simulation_settings
from tests.conftest import DrawHospitals


@pytest.mark.slow
def test_a_run_leaves_a_model_that_knows_its_threshold(draw_hospitals: DrawHospitals, tmp_path: Path) -> None:
    hospitals, run = tmp_path / "hospitals", tmp_path / "run"
    draw_hospitals(hospitals, 2)
    data = {"sources": {"folder": str(hospitals)}, "central": False}
    simulate(simulation_settings({"rounds": 2, "local_epochs": 1, "data": data}), run, 1, Console(quiet=True))

    metrics = load_metrics(run)
    assert metrics.validation is not None
    assert metrics.validation.pooled == metrics.rounds[-1].validation.pooled
    assert not metrics.rounds[-1].validation.histograms
    counts = metrics.validation.histograms["any"]
    histogram = ScoreHistogram(counts.positives, counts.negatives)  # type: ignore[arg-type]
    assert histogram.studies == metrics.validation.any_hemorrhage.studies > 0

    expected = operating_point(histogram, 0.95)
    assert load_scorer(run / "model.safetensors", "cpu").operating_point == expected
    export(run / "model.safetensors", "torchscript", tmp_path / "exported", 0.95)
    scorer = load_scorer(tmp_path / "exported")
    assert scorer.operating_point == expected
    assert scorer.data == "synthetic"
    card = (tmp_path / "exported" / "model-card.md").read_text()
    assert "say nothing of clinical accuracy" in card
    assert f"| 0.95 (used) | {expected.threshold:.4f} |" in card

    found = find_studies([hospitals / "hospital-1" / "dicom"], lambda stage, done, total: None)
    threshold = choose_threshold(None, scorer.operating_point)
    records = lines(ranked(triage(found, scorer)), threshold)
    assert len(records) == 12
    assert all(record["flagged"] is (record["score"] >= expected.threshold) for record in records)
    assert json.loads((run / "metrics.json").read_text())["validation"]["histograms"].keys() >= {"any", "subdural"}
