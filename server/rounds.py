"""The round loop, top to bottom: train, validate, and on to the next one until it is time to stop.

A site that fails, refuses or sends something unusable loses the round, never the run. Answers are aggregated in the
order of the sites' names, so the result does not depend on who was faster.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.network import build_network
from bloodnet_model.run_metrics import NOT_ASKED, SET_ASIDE
from bloodnet_model.splits import Split
from bloodnet_model.weights import decoder_positions
from server.evaluation import PooledEvaluation
from server.exchange import unpacked
from server.federation import Federation
from server.journal import Accepted, Aggregate
from server.readmission import readmit
from server.selection import stop_now, values
from server.training_round import train, train_loss
from strategies import records
from strategies.evaluation_gate import evaluation_refusal
from strategies.evaluation_records import evaluation_config, unpack_evaluation
from strategies.records import RoundPlan
from strategies.round_strategy import RoundStrategy


@dataclass(frozen=True)
class RoundResult:
    """One finished round: the new weights and how they came about.

    end:     of its training
    resting: by site, why it was not asked to train
    """

    number: int
    end: Aggregate
    updates: Mapping[str, Accepted]
    resting: Mapping[str, str]
    validation: PooledEvaluation
    seconds: float
    seconds_evaluate: float

    @property
    def weights(self) -> NDArray[np.float32]:
        return self.end.weights

    @property
    def refused(self) -> Mapping[str, str]:
        return self.end.refused

    @property
    def train_loss(self) -> float:
        return train_loss(self.updates)


def run_rounds(federation: Federation) -> Iterator[RoundResult]:
    """Yield each round as it is done, from where the journal is; raises RoundError where too few updates are usable.

    Whoever takes a round writes it into the journal before the next one. Ends early where the run's patience does.
    """
    journal, settings = federation.journal, federation.settings
    trained = journal.aggregated_rounds
    end = journal.aggregate(trained)
    decoder = decoder_positions(build_network(settings.model, seed=0))
    _tell(federation, decoder)
    if isinstance(federation.strategy, RoundStrategy):
        federation.strategy.restore(end.memory)
    if trained > journal.rounds_over:  # stopped between training and validation
        kept = {site: one for site, one in journal.accepted(trained).items() if site not in end.refused}
        yield _validated(federation, trained, end, kept)
    for number in range(trained + 1, settings.rounds + 1):
        if stop_now(values(journal.lines, settings.select_by), settings.patience):
            return
        readmit(journal, number)
        federation.sites.call_newcomers(federation.grid, federation.plan(0), settings, federation.progress)
        _tell(federation, decoder)
        updates, end = train(federation, end.weights, number)
        yield _validated(federation, number, end, updates)


def _tell(federation: Federation, decoder: slice) -> None:
    """Whom the strategy is for; sites may join later."""
    if isinstance(federation.strategy, RoundStrategy):
        federation.strategy.begin(len(federation.sites.holding("train")), decoder)


def _validated(federation: Federation, number: int, end: Aggregate, updates: Mapping[str, Accepted]) -> RoundResult:
    started = time.monotonic()
    asked = set(federation.drawn(number).values())
    aside = federation.aside
    resting = {
        site: SET_ASIDE if site in aside else NOT_ASKED
        for site in federation.sites.holding("train").values()
        if site not in asked
    }
    validation = evaluate(federation, end.weights, federation.own(federation.plan(number)), "validation")
    took = time.monotonic() - started
    return RoundResult(number, end, updates, resting, validation, end.seconds + took, took)


def evaluate(
    federation: Federation,
    weights: NDArray[np.float32],
    plan: RoundPlan,
    split: Split,
    threshold: float | None = None,
) -> PooledEvaluation:
    """Counts of every site that has studies in `split`. Pooled here, whatever the strategy would make of them.

    threshold: from which score on a study is called positive, where the sites are to count what its mask says
    """
    sites, nodes = federation.sites, federation.holding(split)
    if not nodes:
        return PooledEvaluation({}, {})
    config, arrays = evaluation_config(plan, split, threshold), records.pack_weights(weights)
    messages = federation.strategy.configure_evaluate(plan.round, arrays, config, federation.showing(nodes))
    answers = federation.ask(messages, federation.counted(plan, nodes.values()), split)
    found, refused = unpacked(answers, unpack_evaluation)
    usable = {}
    for site, evaluation in found.items():
        declared = sites.info[site].counts.get(f"{split}-studies", 0)
        reason = evaluation_refusal(evaluation, plan.round, split, declared)
        if reason:
            refused[site] = reason
        else:
            usable[site] = evaluation
    aside = {site: SET_ASIDE for site in sites.holding(split).values() if site not in nodes.values()}
    return PooledEvaluation(usable, refused | aside)
