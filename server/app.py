"""The Flower ServerApp: unpack the settings, run the rounds, write down each one."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from bloodnet_model.labels import CLASSES
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.pretrained import Start, start_from
from bloodnet_model.seeds import derive_seed
from bloodnet_model.splits import HELD_OUT
from bloodnet_model.weights import flat_weights, set_flat_weights
from server import run_folder
from server.console import RoundsBar, round_sentence
from server.evaluation import PooledEvaluation
from server.report import render_report
from server.rounds import Federation, RoundResult, evaluate, round_plan, run_rounds
from server.settings import RunSettings, from_run_config
from server.sites import Sites, roll_call
from strategies.registry import make_strategy

app = ServerApp()

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
    run_folder.create_run_folder(out, settings)
    weights, run, best = flat_weights(network), uuid.uuid4().hex, -1.0
    with RoundsBar(settings.rounds) as bar:
        plan = round_plan(settings, run, 0)
        sites = roll_call(grid, plan, settings.deadline_s, settings.minimum_sites, bar)
        metrics = _metrics_before(settings, sites, len(weights), out.name)
        if start is not None:
            bar.say(f"{Path(settings.init_weights).name}: {start.sentence()}")
            metrics["run"]["start"] = start.sentence()
        federation = Federation(grid, strategy, settings, sites, bar, run)
        for result in run_rounds(federation, weights):
            weights = result.weights
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
        last = round_plan(settings, run, settings.rounds)
        metrics["test"] = evaluate(federation, weights, last, "test").as_metrics()
        for split in filter(sites.holding, HELD_OUT):
            metrics["held_out"][split] = evaluate(federation, weights, last, split).as_metrics()
    _write_report(out, metrics)


def initial_network(settings: RunSettings) -> tuple[BloodNet, Start | None]:
    """The network of round 0, and what of it came from `init_weights`; raises WeightsError where they do not fit."""
    network = build_network(settings.model, derive_seed(settings.seed, "weights"))
    return network, start_from(network, Path(settings.init_weights)) if settings.init_weights else None


def _write_report(out: Path, metrics: dict[str, Any]) -> None:
    run_folder.write_metrics(out, metrics)
    render_report(out)


def _metrics_before(settings: RunSettings, sites: Sites, parameters: int, name: str) -> dict[str, Any]:
    """`metrics.json` as it stands before the first round."""
    return {
        "schema": 1,
        "run": {
            "name": name,
            "data": settings.data.get("name", "hospitals"),
            "strategy": settings.strategy,
            "rounds": settings.rounds,
            "preset": settings.model.preset,
            "link": settings.model.network.link,
            "parameters": parameters,
            "seed": settings.seed,
        },
        "sites": {
            name: {"counts": dict(info.counts), "ledger": dict(info.ledger)}
            for name, info in sorted(sites.info.items())
        },
        "not_admitted": dict(sites.refused),
        "rounds": [],
        "validation": None,
        "test": None,
        "held_out": {},
        "baselines": {},
    }


def _round_line(result: RoundResult, sites: Sites) -> dict[str, Any]:
    """One round as it stands in rounds.jsonl and metrics.json."""
    entries: dict[str, Any] = {}
    for site in sorted(sites.holding("train").values()):
        update = result.updates.get(site)
        if update is None:
            entries[site] = {"status": "refused", "reason": result.refused.get(site, "not-asked")}
        else:
            entries[site] = {"status": "ok", "studies": update.studies, "steps": update.steps, "loss": update.losses[0]}
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
