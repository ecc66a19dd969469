"""The Flower ServerApp: unpack the settings, run the rounds, write down each one."""

import platform
import uuid
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from numpy.typing import NDArray

from bloodnet_model.errors import WeightsError
from bloodnet_model.labels import CLASSES
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.pretrained import Start, start_from
from bloodnet_model.run_metrics import SCHEMA
from bloodnet_model.seeds import derive_seed
from bloodnet_model.weights import flat_weights, load_network, set_flat_weights
from server import run_folder
from server.console import RoundsBar, round_sentence
from server.evaluation import PooledEvaluation
from server.final_test import final_test
from server.report import render_report
from server.rounds import Federation, RoundResult, round_plan, run_rounds
from server.settings import FIRST, PREVIOUS, RunSettings, from_run_config
from server.sites import Sites, roll_call
from strategies.registry import make_strategy

app = ServerApp()

_SOFTWARE: Final = ("bloodnet-federation", "flwr", "torch", "numpy")
OUT = "out"
"""Key of the run configuration that names the run folder on the coordinator's machine."""


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = dict(context.run_config)
    out = Path(str(config.pop(OUT)))
    run_federation(grid, from_run_config(config), out)


def run_federation(grid: Grid, settings: RunSettings, out: Path) -> None:
    """The whole run: roll call, rounds, test; everything it leaves lies in `out`."""
    strategy = make_strategy(settings.strategy, settings.proximal_mu)
    network, start = initial_network(settings)
    others = earlier_weights(settings)  # a model that cannot be compared is said before round 1
    run_folder.create_run_folder(out, settings)
    first = weights = flat_weights(network)
    run, best = uuid.uuid4().hex, -1.0
    with RoundsBar(settings.rounds) as bar:
        plan = round_plan(settings, run, 0)
        sites = roll_call(grid, plan, settings.deadline_s, settings.minimum_sites, bar)
        metrics = _metrics_before(settings, sites, len(weights), out.name)
        if start is not None:
            bar.say(f"{Path(settings.init_weights).name}: {start.sentence()}")
            metrics["run"]["start"] = start.sentence()
        federation = Federation(grid, strategy, settings, sites, bar, run)
        for result in run_rounds(federation, weights):
            previous, weights = weights, result.weights
            set_flat_weights(network, weights)
            line = _round_line(result, sites)
            metrics["rounds"].append(line)
            metrics["validation"] = result.validation.as_metrics()  # whoever flags studies needs a threshold from it
            run_folder.append_round(out, line)
            run_folder.write_model(out, run_folder.MODEL, network, settings)
            auc = line["validation"]["pooled"][CLASSES[0]]["auc"]
            if auc is not None and auc > best:
                best = auc
                run_folder.write_model(out, run_folder.BEST_MODEL, network, settings)
            _write_report(out, metrics)
            bar.done(result.number, round_sentence(line, settings.rounds))
            validation = result.validation
        of_run = {FIRST: first, PREVIOUS: previous}
        others |= {name: of_run[name] for name in settings.evaluation.compare_with if name in of_run}
        for found in final_test(federation, first, weights, validation, others):
            metrics |= found
            _write_report(out, metrics)


def initial_network(settings: RunSettings) -> tuple[BloodNet, Start | None]:
    """The network of round 0, and what of it came from `init_weights`; raises WeightsError where they do not fit."""
    network = build_network(settings.model, derive_seed(settings.seed, "weights"))
    return network, start_from(network, Path(settings.init_weights)) if settings.init_weights else None


def earlier_weights(settings: RunSettings) -> dict[str, NDArray[np.float32]]:
    """Of the files that `compare_with` names; raises WeightsError for one that this run's sites could not score."""
    weights = {}
    for name in settings.evaluation.compare_with:
        if name in (FIRST, PREVIOUS):
            continue
        network, theirs = load_network(Path(name))
        ours = settings.model
        if (theirs.network, theirs.preprocessing) != (ours.network, ours.preprocessing):
            raise WeightsError(
                f"{name}: is a {theirs.preset} network with link {theirs.network.link}, or sees other images, and this "
                f"run trains {ours.preset} with link {ours.network.link}; compare with a model of the same settings."
            )
        weights[name] = flat_weights(network)
    return weights


def _write_report(out: Path, metrics: dict[str, Any]) -> None:
    run_folder.write_metrics(out, metrics)
    render_report(out)


def _metrics_before(settings: RunSettings, sites: Sites, parameters: int, name: str) -> dict[str, Any]:
    """`metrics.json` as it stands before the first round."""
    return {
        "schema": SCHEMA,
        "run": {
            "name": name,
            "data": settings.data.get("name", "hospitals"),
            "strategy": settings.strategy,
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
