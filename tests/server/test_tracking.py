"""Runs in a real MLflow store."""

from pathlib import Path
from typing import Any

import pytest

from bloodnet_model.errors import SettingsError
from server.settings import run_settings
from server.tracking import Nobody, tracked

mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own, of SQLAlchemy

LINE = {
    "round": 2,
    "seconds": 3.5,
    "train_loss": 1.25,
    "dice": None,
    "sites": {"a": {"status": "ok"}, "b": {"status": "refused"}},
    "validation": {"pooled": {"any": {"auc": 0.75}, "epidural": {"auc": None}}},
}
TEST = {"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9, "auprc": None}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    for name in ("config.yaml", "metrics.json", "rounds.jsonl", "report.html", "model.safetensors"):
        (folder / name).write_text(name)
    return folder


def stored(run: Path) -> tuple[Any, list[str]]:
    client = mlflow.MlflowClient(f"sqlite:///{run.parent / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("bloodnet").experiment_id])
    return found, sorted(file.path for file in client.list_artifacts(found.info.run_id))


def test_rounds_settings_and_files_are_in_the_store(run: Path) -> None:
    settings = run_settings({"mlflow": "sqlite", "strategy": "fedprox", "seed": 3})
    with tracked(settings, run) as tracker:
        tracker.round(LINE)
        tracker.finished({"test": {"pooled": {"any": TEST}}}, run)
    found, files = stored(run)
    assert (found.info.run_name, found.info.status) == ("one", "FINISHED")
    assert (found.data.params["strategy"], found.data.params["seed"]) == ("fedprox", "3")
    figures = found.data.metrics
    assert (figures["validation_auc_any"], figures["train_loss"], figures["sites_lost"]) == (0.75, 1.25, 1)
    assert (figures["test_auc_any"], figures["test_auc_low_any"]) == (0.8, 0.7)
    assert not {"validation_auc_epidural", "validation_dice", "test_auprc_any"} & set(figures)
    assert files == ["config.yaml", "metrics.json", "model.safetensors", "report.html", "rounds.jsonl"]
    assert not list(run.parent.parent.glob("mlruns"))


def test_a_run_that_ended_badly_is_marked(run: Path) -> None:
    with pytest.raises(KeyError), tracked(run_settings({"mlflow": "sqlite"}), run):
        raise KeyError("rounds")
    found, files = stored(run)
    assert (found.info.status, files) == ("FAILED", [])


def test_nothing_is_logged_unless_asked_for(run: Path) -> None:
    with tracked(run_settings({}), run) as tracker:
        assert isinstance(tracker, Nobody)
    assert list(run.parent.iterdir()) == [run]


def test_a_store_that_cannot_be_used_is_said_at_once(run: Path) -> None:
    with (
        pytest.raises(SettingsError, match=r"mlflow: nosuch://x cannot be used"),
        tracked(run_settings({"mlflow": "nosuch://x"}), run),
    ):
        pass
