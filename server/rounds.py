"""The round loop, top to bottom: configure, exchange, gate, aggregate, evaluate.

A site that fails, refuses or sends something unusable loses the round, never the run. Answers are aggregated in the
order of the sites' names, so the result does not depend on who was faster.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from flwr.app import Message
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from bloodnet_model.errors import RoundError
from bloodnet_model.splits import Split
from server.evaluation import PooledEvaluation
from server.exchange import Answers, Progress, exchange
from server.settings import RunSettings
from server.sites import Sites
from strategies import records
from strategies.evaluation_gate import evaluation_refusal
from strategies.evaluation_records import evaluation_config, unpack_evaluation
from strategies.records import RoundPlan, Update
from strategies.update_gate import refusal_reason


@dataclass(frozen=True)
class RoundResult:
    """One finished round: the new weights and how they came about."""

    number: int
    weights: NDArray[np.float32]
    updates: Mapping[str, Update]
    refused: Mapping[str, str]
    validation: PooledEvaluation
    seconds: float
    seconds_evaluate: float

    @property
    def train_loss(self) -> float:
        """Mean loss of the round's local steps, each site counting by its studies."""
        studies = sum(update.studies for update in self.updates.values())
        return sum(u.losses[0] * u.studies for _, u in sorted(self.updates.items())) / studies


@dataclass(frozen=True)
class Federation:
    """What all rounds of a run share. `run` names it to the sites, which keep their state under that name."""

    grid: Grid
    strategy: Strategy
    settings: RunSettings
    sites: Sites
    progress: Progress
    run: str

    def holding(self, split: Split) -> Grid:
        """The grid as a strategy may see it: the nodes of this run with studies in `split`, nobody else."""
        return cast(Grid, _OnlyThese(self.grid, self.sites.holding(split)))


def run_rounds(federation: Federation, weights: NDArray[np.float32]) -> Iterator[RoundResult]:
    """Yield each round as it is done; raises RoundError where too few sites gave something usable."""
    for number in range(1, federation.settings.rounds + 1):
        started = time.monotonic()
        plan = round_plan(federation.settings, federation.run, number)
        updates, refused, weights = train(federation, weights, plan)
        trained = time.monotonic()
        validation = evaluate(federation, weights, plan, "validation")
        ended = time.monotonic()
        yield RoundResult(number, weights, updates, refused, validation, ended - started, ended - trained)


def train(
    federation: Federation, weights: NDArray[np.float32], plan: RoundPlan
) -> tuple[dict[str, Update], dict[str, str], NDArray[np.float32]]:
    """One round of training: usable updates and refusals by site, and the aggregated weights."""
    strategy, settings, sites = federation.strategy, federation.settings, federation.sites
    config, arrays = records.pack_plan(plan), records.pack_weights(weights)
    messages = strategy.configure_train(plan.round, arrays, config, federation.holding("train"))
    answers = ask(federation, messages, "training")
    updates, accepted = {}, {}
    for site, update in answers.unpacked(records.unpack_update).items():
        reason = refusal_reason(update, len(weights), sites.info[site].counts.get("train-studies", 0))
        if reason:
            answers.refused[site] = reason
        else:
            updates[site], accepted[site] = update, answers.replies[site]
    if len(accepted) < settings.minimum_sites:
        why = ", ".join(f"{site}: {code}" for site, code in sorted(answers.refused.items()))
        raise RoundError(
            f"Round {plan.round}: {len(accepted)} usable updates, {settings.minimum_sites} are needed ({why})."
        )
    aggregated, _ = strategy.aggregate_train(plan.round, records.site_order(accepted))
    if aggregated is None:
        raise RoundError(f"Round {plan.round}: {settings.strategy} made nothing of {len(accepted)} usable updates.")
    return updates, answers.refused, records.unpack_weights(aggregated)


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
    sites = federation.sites
    if not sites.holding(split):
        return PooledEvaluation({}, {})
    config, arrays = evaluation_config(plan, split, threshold), records.pack_weights(weights)
    messages = federation.strategy.configure_evaluate(plan.round, arrays, config, federation.holding(split))
    answers = ask(federation, messages, split)
    usable = {}
    for site, evaluation in answers.unpacked(unpack_evaluation).items():
        declared = sites.info[site].counts.get(f"{split}-studies", 0)
        reason = evaluation_refusal(evaluation, plan.round, split, declared)
        if reason:
            answers.refused[site] = reason
        else:
            usable[site] = evaluation
    return PooledEvaluation(usable, answers.refused)


def round_plan(settings: RunSettings, run: str, number: int) -> RoundPlan:
    return RoundPlan(
        run=run,
        seed=settings.seed,
        round=number,
        total_rounds=settings.rounds,
        local_epochs=settings.local_epochs,
        model=settings.model,
    )


def ask(federation: Federation, messages: Iterable[Message], label: str, deadlines: int = 1) -> Answers:
    """Exchange one step's messages, showing who has answered; a step as long as several has as many deadlines."""
    names, progress, messages = federation.sites.names, federation.progress, list(messages)
    progress.step(label, len(messages))
    return exchange(federation.grid, messages, names, deadlines * federation.settings.deadline_s, progress.answer)


class _OnlyThese:
    """A grid that shows some of its nodes."""

    def __init__(self, grid: Grid, nodes: Mapping[int, str]) -> None:
        self._grid, self._nodes = grid, sorted(nodes)

    def get_node_ids(self) -> list[int]:
        return self._nodes

    def __getattr__(self, name: str) -> object:
        return getattr(self._grid, name)
