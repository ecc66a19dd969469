"""A run in an MLflow store, round by round. Off unless asked for; needs the extra `mlflow`.

The run folder stays the truth; this is a copy for who follows runs there. MLflow's telemetry stays off: a
coordinator's machine reports to nobody.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from bloodnet_model.errors import SettingsError
from server.run_folder import MODEL, REPORT
from server.settings import RunSettings

SQLITE: Final = "sqlite"
"""In place of a store's address: a file beside the run folder."""
EXPERIMENT: Final = "bloodnet"
_FINAL: Final = ("auc", "auc_low", "auc_high", "auprc")


class Tracker(Protocol):
    """Who is told of a run as it goes on."""

    def round(self, line: Mapping[str, Any]) -> None: ...

    def finished(self, metrics: Mapping[str, Any], folder: Path) -> None: ...


class Nobody:
    """Where no store was asked for."""

    def round(self, line: Mapping[str, Any]) -> None: ...

    def finished(self, metrics: Mapping[str, Any], folder: Path) -> None: ...


class MlflowRun:
    """One run of a store; metrics of a round are at its number as step."""

    def __init__(self, client: Any, run_id: str) -> None:
        self._client, self._id = client, run_id

    def round(self, line: Mapping[str, Any]) -> None:
        figures = {"train_loss": line["train_loss"], "seconds": line["seconds"], "validation_dice": line["dice"]}
        for name, record in line["validation"]["pooled"].items():
            figures[f"validation_auc_{name}"] = record["auc"]
        figures["sites_lost"] = sum(entry["status"] != "ok" for entry in line["sites"].values())
        self._log(figures, line["round"])

    def finished(self, metrics: Mapping[str, Any], folder: Path) -> None:
        pooled = metrics["test"]["pooled"]
        self._log({f"test_{kind}_{name}": record[kind] for name, record in pooled.items() for kind in _FINAL})
        for name in ("config.yaml", "metrics.json", "rounds.jsonl", REPORT, MODEL):
            self._client.log_artifact(self._id, str(folder / name))

    def _log(self, figures: Mapping[str, float | None], step: int = 0) -> None:
        """An undefined figure is not logged: a store knows no reasons."""
        for name, value in figures.items():
            if value is not None:
                self._client.log_metric(self._id, name, value, step=step)


@contextmanager
def tracked(settings: RunSettings, folder: Path) -> Iterator[Tracker]:
    """A tracker for the run in `folder`, marked as failed where the block raises.

    Raises SettingsError where the store cannot be used, before the run has begun.
    """
    if not settings.mlflow:
        yield Nobody()
        return
    address, beside = settings.mlflow, folder.absolute().parent
    if address == SQLITE:
        address = f"sqlite:///{beside / 'mlflow.db'}"
    client, run_id = _started(address, beside / "mlflow-artifacts", settings, folder.name)
    try:
        yield MlflowRun(client, run_id)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def _started(address: str, artifacts: Path, settings: RunSettings, name: str) -> tuple[Any, str]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise SettingsError("mlflow: is not installed; pip install 'bloodnet-federation[mlflow]'.") from None
    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        client = MlflowClient(address)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        where = artifacts.as_uri() if address.startswith(SQLITE) else None
        known = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT, where)
        run_id = client.create_run(known, run_name=name).info.run_id
    except (MlflowException, OSError) as error:
        said = str(error).partition(".")[0].partition("\n")[0]
        raise SettingsError(f"mlflow: {address} cannot be used ({said}); give sqlite, or a store's address.") from None
    for key, value in {
        "strategy": settings.strategy,
        **settings.strategy_parameters,
        "rounds": settings.rounds,
        "local_epochs": settings.local_epochs,
        "seed": settings.seed,
        "preset": settings.model.preset,
        "link": settings.model.network.link,
    }.items():
        client.log_param(run_id, key, value)
    return client, run_id
