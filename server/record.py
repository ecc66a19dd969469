"""What a run writes down as it goes on: every file whole, after every round."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bloodnet_model.labels import CLASSES
from bloodnet_model.network import build_network
from bloodnet_model.run_metrics import SCHEMA
from bloodnet_model.weights import flat_weights, set_flat_weights
from server import run_folder
from server.evaluation import PooledEvaluation
from server.journal import Journal
from server.report import render_report
from server.rounds import RoundResult
from server.settings import RunSettings
from server.sites import Sites

_SOFTWARE: Final = ("bloodnet-federation", "flwr", "torch", "numpy")


class RunRecord:
    """The run folder's files; `metrics` is what `metrics.json` holds."""

    def __init__(self, folder: Path, settings: RunSettings, sites: Sites, journal: Journal) -> None:
        """Of a run that was stopped, what `journal` knows is there from the beginning."""
        self._folder, self._settings, self._sites = folder, settings, sites
        self._network, lines = build_network(settings.model, seed=0), journal.lines
        self.metrics = _metrics_before(settings, sites, flat_weights(self._network).size, folder.name)
        self.metrics["run"]["start"] = journal.start
        self.metrics["rounds"] += lines
        self._best = max((auc for line in lines if (auc := _auc(line)) is not None), default=-1.0)

    def round(self, result: RoundResult) -> dict[str, Any]:
        """Keep a finished round and its weights; returns its line in rounds.jsonl."""
        line = _round_line(result, self._sites)
        self.metrics["rounds"].append(line)
        self.metrics["validation"] = result.validation.as_metrics()  # whoever flags studies needs a threshold from it
        set_flat_weights(self._network, result.weights)
        run_folder.write_rounds(self._folder, self.metrics["rounds"])
        self._write_model(run_folder.MODEL)
        auc = _auc(line)
        if auc is not None and auc > self._best:
            self._best = auc
            self._write_model(run_folder.BEST_MODEL)
        self._write()
        return line

    def add(self, found: Mapping[str, Any]) -> None:
        """Keep entries of `metrics.json`."""
        self.metrics |= found
        self._write()

    def _write_model(self, name: str) -> None:
        run_folder.write_model(self._folder, name, self._network, self._settings)

    def _write(self) -> None:
        run_folder.write_metrics(self._folder, self.metrics)
        render_report(self._folder)


def _metrics_before(settings: RunSettings, sites: Sites, parameters: int, name: str) -> dict[str, Any]:
    """`metrics.json` as it stands before the first round."""
    return {
        "schema": SCHEMA,
        "run": {
            "name": name,
            "data": settings.data.get("name", "hospitals"),
            "strategy": settings.strategy,
            "strategy_parameters": settings.strategy_parameters,
            "rounds": settings.rounds,
            "preset": settings.model.preset,
            "link": settings.model.network.link,
            "parameters": parameters,
            "seed": settings.seed,
            "versions": _versions(),
        },
        "sites": {
            name: {"counts": dict(info.counts), "ledger": dict(info.ledger), "version": info.version}
            for name, info in sorted(sites.info.items())
        },
        "not_admitted": dict(sites.refused),
        "rounds": [],
        "validation": None,
        "test": None,
        "held_out": {},
        "comparisons": [],
        "cross_site": None,
        "baselines": {},
    }


def _auc(line: Mapping[str, Any]) -> float | None:
    """Of any hemorrhage, pooled, on the validation patients of a round."""
    auc: float | None = line["validation"]["pooled"][CLASSES[0]]["auc"]
    return auc


def _versions() -> dict[str, str]:
    """Of what computes at the coordinator."""
    return {"python": platform.python_version(), **{name: version(name) for name in _SOFTWARE}}


def _round_line(result: RoundResult, sites: Sites) -> dict[str, Any]:
    """One round as it stands in rounds.jsonl and metrics.json."""
    entries: dict[str, Any] = {}
    for site in sorted(sites.holding("train").values()):
        update = result.updates.get(site)
        if update is None:
            entries[site] = {"status": "refused", "reason": result.refused.get(site, "not-asked")}
        else:
            entries[site] = {
                "status": "ok",
                "studies": update.studies,
                "steps": update.steps,
                "loss": update.losses[0],
                "seconds": round(update.seconds, 3),
            }
    return {
        "round": result.number,
        "seconds": result.seconds,
        "seconds_evaluate": result.seconds_evaluate,
        "sites": entries,
        "train_loss": result.train_loss,
        "validation": _without_histograms(result.validation),
        "dice": result.validation.dice(),
    }


def _without_histograms(evaluation: PooledEvaluation) -> Mapping[str, Any]:
    return {key: value for key, value in evaluation.as_metrics().items() if key != "histograms"}
