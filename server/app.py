"""The Flower ServerApp: unpack the settings, run the rounds, write down each one."""

import uuid
from pathlib import Path

import numpy as np
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from numpy.typing import NDArray

from bloodnet_model.errors import WeightsError
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.pretrained import Start, start_from
from bloodnet_model.seeds import derive_seed
from bloodnet_model.weights import flat_weights, load_network
from server import run_folder
from server.console import RoundsBar, round_sentence
from server.final_evaluation import final_evaluation
from server.record import RunRecord
from server.rounds import Federation, round_plan, run_rounds
from server.settings import FIRST, PREVIOUS, RunSettings, from_run_config
from server.sites import roll_call
from server.tracking import tracked
from strategies.registry import make_strategy, resolved_parameters
from strategies.round_strategy import RoundStrategy

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
    strategy = make_strategy(settings.strategy, settings.strategy_parameters)
    parameters = resolved_parameters(strategy, settings.strategy_parameters)
    settings = settings.model_copy(update={"strategy_parameters": parameters})
    network, start = initial_network(settings)
    others = earlier_weights(settings)  # a model that cannot be compared is said before round 1
    run, first = uuid.uuid4().hex, flat_weights(network)
    with tracked(settings, out) as tracker, RoundsBar(settings.rounds) as bar:
        run_folder.create_run_folder(out, settings)
        sites = roll_call(grid, round_plan(settings, run, 0), settings.deadline_s, settings.minimum_sites, bar)
        if isinstance(strategy, RoundStrategy):
            strategy.refuse_too_few(len(sites.holding("train")))
        record = RunRecord(out, settings, sites, network)
        if start is not None:
            bar.say(f"{Path(settings.init_weights).name}: {start.sentence()}")
            record.started_from(start.sentence())
        federation = Federation(grid, strategy, settings, sites, bar, run)
        last = previous = first
        for result in run_rounds(federation, first):
            previous, last = last, result.weights
            line = record.round(result)
            tracker.round(line)
            bar.done(result.number, round_sentence(line, settings.rounds))
        own = {FIRST: first, PREVIOUS: previous}
        others |= {name: own[name] for name in settings.evaluation.compare_with if name in own}
        for found in final_evaluation(federation, first, result, others):
            record.add(found)
        tracker.finished(record.metrics, out)


def initial_network(settings: RunSettings) -> tuple[BloodNet, Start | None]:
    """The network of round 0, and what of it came from `init_weights`; raises WeightsError where they do not fit."""
    network = build_network(settings.model, derive_seed(settings.seed, "weights"))
    return network, start_from(network, Path(settings.init_weights)) if settings.init_weights else None


def earlier_weights(settings: RunSettings) -> dict[str, NDArray[np.float32]]:
    """Of the files that `compare_with` names, by the last two parts of their paths.

    Raises WeightsError for one that this run's sites could not score.
    """
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
        weights["/".join(Path(name).parts[-2:])] = flat_weights(network)
    return weights
