"""The Flower ServerApp: unpack the settings, run the rounds, write down each one."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from server.evaluation import PooledEvaluation
from server.final_evaluation import final_evaluation
from server.journal import Journal
from server.record import RunRecord
from server.rounds import Federation, evaluate, round_plan, run_rounds
from server.settings import FIRST, PREVIOUS, RunSettings, from_run_config
from server.sites import roll_call
from server.tracking import tracked
from strategies.registry import make_strategy, resolved_parameters
from strategies.round_strategy import RoundStrategy

app = ServerApp()

Weights = NDArray[np.float32]

OUT, RESUME = "out", "resume"
"""Keys of the run configuration: the run folder on the coordinator's machine, and that the run in it goes on."""


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = dict(context.run_config)
    out, resume = Path(str(config.pop(OUT))), bool(config.pop(RESUME, False))
    run_federation(grid, from_run_config(config), out, resume)


def run_federation(grid: Grid, settings: RunSettings, out: Path, resume: bool = False) -> None:
    """The whole run: roll call, rounds, test; everything it leaves lies in `out`.

    `resume` goes on with the run in `out` that was stopped, from its journal.
    """
    strategy = make_strategy(settings.strategy, settings.strategy_parameters)
    parameters = resolved_parameters(strategy, settings.strategy_parameters)
    settings = settings.model_copy(update={"strategy_parameters": parameters})
    others = earlier_weights(settings)  # a model that cannot be compared is said before round 1
    with tracked(settings, out) as tracker, RoundsBar(settings.rounds) as bar:
        journal = _reopened(out, settings) if resume else _begun(out, settings)
        sites = roll_call(grid, round_plan(settings, journal.run, 0), settings.deadline_s, settings.minimum_sites, bar)
        if isinstance(strategy, RoundStrategy):
            strategy.refuse_too_few(len(sites.holding("train")))
        record = RunRecord(out, settings, sites, journal)
        bar.say(journal.start)
        federation = Federation(grid, strategy, settings, sites, bar, journal.run)
        validation = None
        for result in run_rounds(federation, journal):
            line, validation = record.round(result), result.validation
            journal.over(result.number, line, settings.keep_updates)
            tracker.round(line)
            bar.done(result.number, round_sentence(line, settings.rounds))
        for found in _final(federation, journal, validation, others):
            record.add(found)
        tracker.finished(record.metrics, out)


def _begun(out: Path, settings: RunSettings) -> Journal:
    network, start = initial_network(settings)
    run_folder.create_run_folder(out, settings)
    sentence = f"{Path(settings.init_weights).name}: {start.sentence()}" if start else ""
    return Journal.begin(out, uuid.uuid4().hex, settings.model_dump(mode="json"), flat_weights(network), sentence)


def _reopened(out: Path, settings: RunSettings) -> Journal:
    return Journal.reopen(out, settings.model_dump(mode="json"))


def _final(
    federation: Federation, journal: Journal, validation: PooledEvaluation | None, others: dict[str, Weights]
) -> Iterator[dict[str, Any]]:
    """The evaluation after the last round; of a run that was stopped after it, validation patients are scored again."""
    settings = federation.settings
    first, previous, last = (journal.aggregate(number).weights for number in (0, settings.rounds - 1, settings.rounds))
    own = {FIRST: first, PREVIOUS: previous}
    others = others | {name: own[name] for name in settings.evaluation.compare_with if name in own}
    if validation is None:
        plan = round_plan(settings, journal.run, settings.rounds)
        validation = evaluate(federation, last, plan, "validation")
        yield {"validation": validation.as_metrics()}
    yield from final_evaluation(federation, first, last, validation, others)


def initial_network(settings: RunSettings) -> tuple[BloodNet, Start | None]:
    """The network of round 0, and what of it came from `init_weights`; raises WeightsError where they do not fit."""
    network = build_network(settings.model, derive_seed(settings.seed, "weights"))
    return network, start_from(network, Path(settings.init_weights)) if settings.init_weights else None


def earlier_weights(settings: RunSettings) -> dict[str, Weights]:
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
