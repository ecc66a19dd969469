"""The Flower ServerApp: unpack the settings, run the rounds, write down each one."""

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from bloodnet_model.errors import SettingsError, WeightsError
from bloodnet_model.files import alone
from bloodnet_model.garbage import search_seldom
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.pretrained import Start, start_from
from bloodnet_model.seeds import derive_seed
from bloodnet_model.weights import flat_weights, load_network, norm_positions
from server import run_folder
from server.console import RoundsBar, round_sentence, run_end
from server.evaluation import PooledEvaluation
from server.federation import Federation, round_plan
from server.final_evaluation import final_evaluation
from server.forecast import forecast_sentence
from server.journal import FOLDER as JOURNAL
from server.journal import Journal
from server.orphan import end_with_parent
from server.record import RunRecord
from server.rounds import evaluate, run_rounds
from server.selection import best, values
from server.settings import FIRST, PREVIOUS, RunSettings, from_run_config
from server.sites import roll_call
from server.soon import ask_again_soon
from server.tracking import Tracker, tracked
from server.unreadable import survive_unreadable_answers
from strategies.registry import make_strategy, resolved_parameters
from strategies.round_strategy import RoundStrategy

app = ServerApp()

Weights = NDArray[np.float32]

OUT, RESUME, FROM_ROUND = "out", "resume", "from_round"
"""Keys of the run configuration: the run folder on the coordinator's machine, that the run in it goes on, and from the
end of which round: 0 for where it stopped."""

WHERE_IT_STOPPED: Final = 0


@app.main()
def main(grid: Grid, context: Context) -> None:
    search_seldom()
    end_with_parent()
    survive_unreadable_answers(grid)
    ask_again_soon(grid)
    config = {key.replace("-", "_"): value for key, value in context.run_config.items()}
    out, resume = Path(str(config.pop(OUT))), bool(config.pop(RESUME, False))
    from_round = int(config.pop(FROM_ROUND, WHERE_IT_STOPPED))
    run_federation(grid, from_run_config(config), out, resume, from_round)


def run_federation(
    grid: Grid, settings: RunSettings, out: Path, resume: bool = False, from_round: int = WHERE_IT_STOPPED
) -> None:
    """The whole run: roll call, rounds, test; everything it leaves lies in `out`.

    `resume` goes on with the run in `out` that was stopped, from its journal; `from_round` from the end of that round.
    """
    strategy = possible_strategy(settings)
    parameters = resolved_parameters(strategy, settings.strategy_parameters)
    settings = settings.model_copy(update={"strategy_parameters": parameters})
    others = earlier_weights(settings)  # a model that cannot be compared is said before round 1
    with (
        tracked(settings, out) as tracker,
        RoundsBar(settings.rounds) as bar,
        _journal(out, settings, resume, from_round) as journal,
    ):
        sites = roll_call(grid, round_plan(settings, journal.run, 0), settings, bar)
        journal.called(sites.info)
        if isinstance(strategy, RoundStrategy):
            strategy.refuse_too_few(len(sites.holding("train")))
        federation = Federation(grid, strategy, settings, sites, bar, journal)
        with closing(RunRecord(federation)) as record:
            bar.say(journal.start)
            validation = _rounds(federation, record, tracker, bar)
            for found in _final(federation, record, validation, others):
                record.add(found)
        journal.finish()
        tracker.finished(record.metrics, out)


def _rounds(federation: Federation, record: RunRecord, tracker: Tracker, bar: RoundsBar) -> PooledEvaluation | None:
    """Those still to be run, each written down; returns the last one's validation, None where there were none."""
    settings, journal = federation.settings, federation.journal
    validation = None
    for result in run_rounds(federation):
        line, validation = record.round(result), result.validation
        journal.over(result.number, line)
        _tidy(journal, result.number, settings)
        tracker.round(line)
        now = datetime.now().astimezone()
        bar.done(result.number, round_sentence(line, settings.rounds, run_end(record.ahead, now)))
    if record.ahead:
        bar.say(forecast_sentence(record.ahead, datetime.now().astimezone()))
    return validation


@contextmanager
def _journal(out: Path, settings: RunSettings, resume: bool, from_round: int) -> Iterator[Journal]:
    """Of the run in `out`, with which no other process goes on meanwhile."""
    beginning = None if resume else initial_network(settings)
    if beginning:
        run_folder.create_run_folder(out, settings)
    busy = f"{out}: another process goes on with this run; wait for it, or end it first."
    with alone(out / JOURNAL / "lock", busy):
        yield _begun(out, settings, *beginning) if beginning else _reopened(out, settings, from_round)


def _begun(out: Path, settings: RunSettings, network: BloodNet, start: Start | None) -> Journal:
    sentence = f"{Path(settings.init_weights).name}: {start.sentence()}" if start else ""
    return Journal.begin(out, _new_name(), settings.model_dump(mode="json"), flat_weights(network), sentence)


def _reopened(out: Path, settings: RunSettings, from_round: int) -> Journal:
    kept = settings.model_dump(mode="json")
    if from_round == WHERE_IT_STOPPED:
        return Journal.reopen(out, kept)
    return Journal.reopen_at(out, kept, from_round, _new_name())


def _new_name() -> str:
    """Of a run, as sites know it: short enough to be read out on the telephone."""
    return uuid.uuid4().hex[:12]


def _tidy(journal: Journal, number: int, settings: RunSettings) -> None:
    """Remove of the journal what this run will not ask for again."""
    if not settings.keep_updates:
        journal.remove_updates(number)
    if not settings.keep_rounds:
        found = best(values(journal.lines, settings.select_by))
        journal.remove_weights(but={0, number - 1, number, *([found[0] - 1, found[0]] if found else [])})


def _final(
    federation: Federation, record: RunRecord, validation: PooledEvaluation | None, others: dict[str, Weights]
) -> Iterator[dict[str, Any]]:
    """The evaluation of the chosen round's model.

    validation: of the last round's; of another, and of a run that was stopped after it, patients are scored again
    """
    settings, journal = federation.settings, federation.journal
    number = record.chosen_round()
    first, previous, last = (journal.aggregate(of).weights for of in (0, max(0, number - 1), number))
    own = {FIRST: first, PREVIOUS: previous}
    others = others | {name: own[name] for name in settings.evaluation.compare_with if name in own}
    if validation is None or number != journal.rounds_over:
        validation = evaluate(federation, last, federation.own(federation.plan(number)), "validation")
        yield {"validation": validation.as_metrics()}
    record.keep_model(last)
    yield from final_evaluation(federation, number, first, last, validation, others)


def possible_strategy(settings: RunSettings) -> Strategy:
    """The strategy of a run; raises SettingsError, also where it leaves sites what this run cannot do with."""
    strategy = make_strategy(settings.strategy, settings.strategy_parameters)
    personal = strategy.personal if isinstance(strategy, RoundStrategy) else ""
    if personal == "norms":
        norm_positions(build_network(settings.model, seed=0))  # raises where there is none
    if personal and settings.final_model == "best":
        raise SettingsError(
            f"final_model: best does not go with {settings.strategy}, whose sites keep their own part of the last "
            "model alone; choose last."
        )
    return strategy


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
