"""One round of training: who is asked, what is accepted, and what it is made into."""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from flwr.app import Message, MessageType
from numpy.typing import NDArray

from bloodnet_model.errors import RoundError, UnusableAnswer
from bloodnet_model.run_metrics import NO_ANSWER
from server.exchange import NOT_SENT, Answer
from server.federation import Federation
from server.journal import Accepted, Aggregate
from server.wording import refusal
from strategies import records
from strategies.records import RoundPlan, Update
from strategies.round_strategy import RoundStrategy
from strategies.update_gate import REFUSALS, Expected, checked_update, l2_norm, outlying

Weights = NDArray[np.float32]

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0


@dataclass
class Training:
    """A round's training as it goes on: updates that count, and why others do not, by site.

    earlier:    fingerprints of what each site sent in earlier rounds
    answered_s: seconds from the question to the answer of those that answered since the last stop
    """

    federation: Federation
    number: int
    previous: Weights
    plans: Mapping[str, RoundPlan]
    updates: dict[str, Accepted]
    earlier: Mapping[str, frozenset[str]]
    refused: dict[str, str] = field(default_factory=dict)
    answered_s: dict[str, float] = field(default_factory=dict)

    def take(self, answer: Answer) -> None:
        """Hold an answer against the gate; from here on, it counts, or its site has lost the round."""
        site, journal = answer.site, self.federation.journal
        if answer.code not in (NO_ANSWER, NOT_SENT):
            self.answered_s[site] = answer.answered_s
        expected = self._expected(site)
        try:
            checked = answer.unpacked(partial(checked_update, expected=expected))
        except UnusableAnswer as error:
            self.refused[site] = error.reason
        else:
            self.refused.pop(site, None)
            self.updates[site] = journal.accept(self.number, site, checked, answer.answered_s)

    def missing(self) -> dict[str, RoundPlan]:
        """Plans of the sites that may still give an update: what the gate has refused will not become better."""
        lost = {site for site, reason in self.refused.items() if reason in REFUSALS}
        return {site: plan for site, plan in self.plans.items() if site not in self.updates.keys() | lost}

    def leave_out_unlike(self) -> None:
        """Updates that moved much further than the others' do not count, nor those whose control did."""
        ratio = self.federation.settings.norm_ratio
        changes = {site: one.update.control_change for site, one in self.updates.items()}
        controls = {site: l2_norm(of) for site, of in changes.items() if of is not None}
        unlike = dict.fromkeys(outlying(controls, dict.fromkeys(controls, 1), ratio), "control-unlike-others")
        norms = {site: one.norm for site, one in self.updates.items()}
        steps = {site: one.update.steps for site, one in self.updates.items()}
        unlike |= dict.fromkeys(outlying(norms, steps, ratio), "norm-unlike-others")
        self.refused |= unlike
        self.updates = {site: one for site, one in self.updates.items() if site not in unlike}

    def _expected(self, site: str) -> Expected:
        federation = self.federation
        strategy, settings = federation.strategy, federation.settings
        return Expected(
            plan=self.plans[site],
            previous=self.previous,
            declared_studies=federation.sites.info[site].counts.get("train-studies", 0),
            longest_s=settings.deadline_s,
            max_norm=settings.max_update_norm,
            earlier=self.earlier.get(site, frozenset()),
            control=isinstance(strategy, RoundStrategy) and strategy.second_vector,
        )


def train(federation: Federation, previous: Weights, number: int) -> tuple[dict[str, Accepted], Aggregate]:
    """One round of training: updates that count by site, and what they were made into, both kept in the journal.

    An update counts from when it is in the journal; sites whose update was there before are not asked again. Where too
    few updates are usable, sites that gave none are asked again, for as long as the run waits for sites. Raises
    RoundError after that.
    """
    started = time.monotonic()
    drawn, journal = federation.drawn(number), federation.journal
    if not set(drawn.values()) <= (journal.planned(number) or set()):
        journal.plan(number, drawn.values())
    plans = federation.training_plans(number, drawn.values())
    training = Training(federation, number, previous, plans, journal.accepted(number), journal.fingerprints(number))
    messages = _messages(federation, previous, number, drawn)
    until, pause = started + federation.settings.wait_s, _FIRST_PAUSE_S
    while missing := training.missing():
        for answer in federation.ask(messages, missing, "training"):
            training.take(answer)
        if len(training.updates) >= federation.fewest or time.monotonic() >= until:
            break
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE_S, 2 * pause)
    training.leave_out_unlike()
    _require_enough(federation, training)
    weights = _combined(federation, number, [training.updates[site].update for site in sorted(training.updates)])
    answers_s = {site: training.answered_s[site] for site in training.refused if site in training.answered_s}
    end = Aggregate(weights, _memory(federation), training.refused, time.monotonic() - started, answers_s)
    federation.journal.aggregated(number, end)
    return training.updates, end


def train_loss(updates: Mapping[str, Accepted]) -> float:
    """Mean loss of the round's local steps, each site counting by its studies."""
    own = [accepted.update for _, accepted in sorted(updates.items())]
    return math.fsum(update.losses[0] * update.studies for update in own) / sum(update.studies for update in own)


def _messages(federation: Federation, previous: Weights, number: int, drawn: Iterable[int]) -> list[Message]:
    """What the strategy asks of the sites that were drawn; each site's own plan is put in when it is sent."""
    config, arrays = records.pack_plan(federation.plan(number)), records.pack_weights(previous)
    return list(federation.strategy.configure_train(number, arrays, config, federation.showing(drawn)))


def _require_enough(federation: Federation, training: Training) -> None:
    usable = len(training.updates)
    if usable < federation.fewest:
        why = ", ".join(refusal(code, site) for site, code in sorted(training.refused.items())) or "no site can train"
        raise RoundError(
            f"Round {training.number}: {usable} usable updates, {federation.fewest} are needed ({why}); see to these "
            "sites and resume the run, which has lost nothing."
        )


def _combined(federation: Federation, number: int, updates: list[Update]) -> Weights:
    """The next weights; `updates` are in the order of their sites' names, whoever was faster."""
    strategy = federation.strategy
    if isinstance(strategy, RoundStrategy):
        return strategy.next_weights(number, updates)
    replies = [Message(records.pack_update(update), 0, MessageType.TRAIN) for update in updates]
    aggregated, _ = strategy.aggregate_train(number, replies)
    if aggregated is None:
        raise RoundError(
            f"Round {number}: {federation.settings.strategy} made nothing of {len(updates)} usable updates; "
            "choose another strategy."
        )
    return records.unpack_weights(aggregated)


def _memory(federation: Federation) -> Mapping[str, NDArray[np.float64]]:
    """What a strategy keeps between rounds; Flower's own ones do not tell."""
    return federation.strategy.state() if isinstance(federation.strategy, RoundStrategy) else {}
