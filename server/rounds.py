"""The round loop, top to bottom: configure, exchange, gate, aggregate, evaluate.

A site that fails, refuses or sends something unusable loses the round, never the run. Answers are aggregated in the
order of the sites' names, so the result does not depend on who was faster.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from flwr.app import Message, MessageType
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from bloodnet_model.errors import BloodNetError, RoundError
from bloodnet_model.splits import Split
from server.evaluation import PooledEvaluation
from server.exchange import UNREADABLE, Answers, Progress, exchange
from server.journal import Aggregate, Journal
from server.settings import RunSettings
from server.sites import Sites
from strategies import records
from strategies.evaluation_gate import evaluation_refusal
from strategies.evaluation_records import evaluation_config, unpack_evaluation
from strategies.records import RoundPlan, Update
from strategies.round_strategy import RoundStrategy, State
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


def run_rounds(federation: Federation, journal: Journal) -> Iterator[RoundResult]:
    """Yield each round as it is done, from where the journal is; raises RoundError where too few updates are usable."""
    trained = journal.aggregated_rounds
    end = journal.aggregate(trained)
    if isinstance(federation.strategy, RoundStrategy):
        federation.strategy.restore(end.memory)
    if trained > len(journal.lines):  # stopped between training and validation
        yield _validated(federation, trained, end, journal.accepted(trained))
    for number in range(trained + 1, federation.settings.rounds + 1):
        updates, end = train(federation, end.weights, round_plan(federation.settings, federation.run, number), journal)
        yield _validated(federation, number, end, updates)


def _validated(federation: Federation, number: int, end: Aggregate, updates: Mapping[str, Update]) -> RoundResult:
    started = time.monotonic()
    plan = round_plan(federation.settings, federation.run, number)
    validation = evaluate(federation, end.weights, plan, "validation")
    took = time.monotonic() - started
    return RoundResult(number, end.weights, updates, end.refused, validation, end.seconds + took, took)


def train(
    federation: Federation, weights: NDArray[np.float32], plan: RoundPlan, journal: Journal
) -> tuple[dict[str, Update], Aggregate]:
    """One round of training: usable updates by site, and what they were made into, both kept in the journal.

    An update counts from when it is in the journal. Sites whose update was there before are not asked again.
    """
    started, strategy, sites = time.monotonic(), federation.strategy, federation.sites
    config, arrays = records.pack_plan(plan), records.pack_weights(weights)
    updates = journal.accepted(plan.round)
    replies = {site: _as_reply(update) for site, update in updates.items()}
    refused: dict[str, str] = {}

    def gate(site: str, reply: Message) -> None:
        update = _readable(reply)
        declared = sites.info[site].counts.get("train-studies", 0)
        reason = UNREADABLE if update is None else refusal_reason(update, len(weights), declared)
        if update is None or reason is not None:
            refused[site] = reason or UNREADABLE
        else:
            journal.accept(plan.round, site, update)
            updates[site], replies[site] = update, reply

    asked = strategy.configure_train(plan.round, arrays, config, federation.holding("train"))
    messages = [one for one in asked if sites.names.get(one.metadata.dst_node_id) not in updates]
    refused |= ask(federation, messages, "training", gate).refused
    _require_enough(federation, plan.round, updates, refused)
    aggregated, _ = strategy.aggregate_train(plan.round, records.site_order(replies))
    if aggregated is None:
        raise RoundError(
            f"Round {plan.round}: {federation.settings.strategy} made nothing of {len(updates)} usable updates."
        )
    end = Aggregate(records.unpack_weights(aggregated), _memory(strategy), refused, time.monotonic() - started)
    journal.aggregated(plan.round, end)
    return updates, end


def _require_enough(
    federation: Federation, number: int, updates: Mapping[str, Update], refused: Mapping[str, str]
) -> None:
    least = federation.settings.minimum_sites
    if len(updates) < least:
        why = ", ".join(f"{site}: {code}" for site, code in sorted(refused.items()))
        raise RoundError(f"Round {number}: {len(updates)} usable updates, {least} are needed ({why}).")


def _readable(reply: Message) -> Update | None:
    try:
        return records.unpack_update(reply.content)
    except (KeyError, TypeError, ValueError, BloodNetError):
        return None


def _as_reply(update: Update) -> Message:
    """An update of before a stop, as a strategy takes it; whose it is, its place in the order says."""
    return Message(records.pack_update(update), 0, MessageType.TRAIN)


def _memory(strategy: Strategy) -> State:
    """What a strategy keeps between rounds; Flower's own ones do not tell."""
    return strategy.state() if isinstance(strategy, RoundStrategy) else {}


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


def ask(
    federation: Federation,
    messages: Iterable[Message],
    label: str,
    on_usable: Callable[[str, Message], None] = lambda site, reply: None,
    deadlines: int = 1,
) -> Answers:
    """Exchange one step's messages, showing who has answered; a step as long as several has as many deadlines."""
    progress, messages = federation.progress, list(messages)

    def on_answer(site: str, reply: Message | None) -> None:
        if reply is not None:
            on_usable(site, reply)
        progress.answer(site)

    progress.step(label, len(messages))
    deadline_s = deadlines * federation.settings.deadline_s
    return exchange(federation.grid, messages, federation.sites.names, deadline_s, on_answer)


class _OnlyThese:
    """A grid that shows some of its nodes."""

    def __init__(self, grid: Grid, nodes: Mapping[int, str]) -> None:
        self._grid, self._nodes = grid, sorted(nodes)

    def get_node_ids(self) -> list[int]:
        return self._nodes

    def __getattr__(self, name: str) -> object:
        return getattr(self._grid, name)
