"""The records that travel, every key spelled once.

To a site go weights and a round's plan. From a site come weights, integer counts, sums and score histograms; never a
score of one patient, a file name, a UID or an exception's text. Weights travel as one flat float32 array, because
each array of a message costs requests of its own.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray
from pydantic import Field

from bloodnet_model.errors import UnusableAnswer
from bloodnet_model.settings import ModelSettings, Settings, validated
from bloodnet_model.study import SITE_NAME
from strategies.vectors import Vector

ROLL_CALL: Final = "query.roll_call"
"""Message type that asks a site who it is and what it holds."""

OK: Final = "ok"
NO_STATUS: Final = "no-status"

# Names of the records and of the weighting key are those that Flower's own strategies expect by default.
ARRAYS, CONFIG, METRICS, _WEIGHTS = "arrays", "config", "metrics", "weights"
STATUS, _CODE, _SITE, _NAME, _VERSION = "status", "code", "site", "name", "version"
_COUNTS, _LEDGER = "counts", "ledger"
_PLAN, _MU, _LAMBDA = "plan", "proximal-mu", "personal-lambda"
EXAMPLES, _STEPS, _SECONDS = "num-examples", "steps", "seconds"
_ROUND, _MASK_SLICES, _CONTROL = "round", "mask-slices", "control"
_LOSSES = ("loss", "mask-loss", "slice-loss", "study-loss")
_VERSION_LIKE: Final = "[0-9A-Za-z.+!-]{1,32}"
_COUNT_LIKE: Final = "[a-z0-9-]{1,64}"


R = TypeVar("R", ArrayRecord, ConfigRecord, MetricRecord)

Personal = Literal["", "norms", "model"]
"""Which part of the model is a site's own and never leaves it; none where it is empty."""


class RoundPlan(Settings):
    """What a round asks of a site.

    local_steps:   at most so many optimiser steps, 0 for whole epochs
    counted_round: the last round whose update of this site counted. The site goes on from its state after exactly that
                   round, so an update that came too late, or was refused, changes nothing that it does next
    personal:      which part of the model is the site's own
    """

    run: str
    seed: int
    round: int
    total_rounds: int
    local_epochs: int
    local_steps: int = Field(0, ge=0)
    counted_round: int = Field(0, ge=0)
    personal: Personal = ""
    model: ModelSettings


@dataclass(frozen=True)
class SiteInfo:
    """What a site says of itself at the roll call: names and counts alone."""

    name: str
    version: str
    counts: Mapping[str, int]
    ledger: Mapping[str, int]


@dataclass(frozen=True)
class Update:
    """A site's answer to a training message; its vectors are (parameters,) and need not lie in memory.

    round:          which it answers
    mask_slices:    slices of its training studies of which the mask is known
    control_change: of SCAFFOLD, what its control has changed by since the round that counted last
    """

    weights: Vector
    studies: int
    steps: int
    losses: tuple[float, float, float, float]  # total, mask, slices, study; means over the steps
    seconds: float
    round: int = 0
    mask_slices: int = 0
    control_change: Vector | None = None


@dataclass(frozen=True, eq=False)
class Training:
    """What a training message asks for.

    weights:         (parameters,) that the round starts from
    proximal_mu:     of FedProx, how strongly the site is held to them
    personal_lambda: of Ditto, how strongly its own model is
    control:         (parameters,) of SCAFFOLD; None in all other strategies
    """

    weights: NDArray[np.float32]
    plan: RoundPlan
    proximal_mu: float = 0.0
    personal_lambda: float = 0.0
    control: NDArray[np.float32] | None = None


def arrays_of(content: RecordDict, name: str = ARRAYS) -> ArrayRecord:
    """The record of that name; raises KeyError where it is not there, or of another kind."""
    return _of_kind(content, name, ArrayRecord)


def config_of(content: RecordDict, name: str = CONFIG) -> ConfigRecord:
    return _of_kind(content, name, ConfigRecord)


def metrics_of(content: RecordDict, name: str = METRICS) -> MetricRecord:
    return _of_kind(content, name, MetricRecord)


def _of_kind(content: RecordDict, name: str, kind: type[R]) -> R:
    """Not through `array_records` and its like, whose views hold each other and the message until a collection."""
    record = content[name]
    if not isinstance(record, kind):
        raise KeyError(name)
    return record


def pack_weights(weights: Vector) -> ArrayRecord:
    return ArrayRecord({_WEIGHTS: Array(np.ascontiguousarray(weights[:], np.float32))})


def unpack_weights(record: ArrayRecord) -> NDArray[np.float32]:
    return np.asarray(record[_WEIGHTS].numpy(), np.float32)


def pack_plan(plan: RoundPlan, **extra: str | float) -> ConfigRecord:
    return ConfigRecord({_PLAN: plan.model_dump_json(), **extra})


def set_proximal_mu(content: RecordDict, mu: float) -> None:
    """Ask for FedProx's term; Flower's own FedProx writes the same key."""
    config_of(content)[_MU] = mu


def set_personal_lambda(content: RecordDict, personal_lambda: float) -> None:
    """Ask for Ditto's own model at the site."""
    config_of(content)[_LAMBDA] = personal_lambda


def set_control(content: RecordDict, control: Vector) -> None:
    """Ask for SCAFFOLD's correction, and for how the site's own control changes."""
    content[_CONTROL] = pack_weights(control)


def instruction(arrays: ArrayRecord, config: ConfigRecord) -> RecordDict:
    return RecordDict({ARRAYS: arrays, CONFIG: config})


def question(config: ConfigRecord) -> RecordDict:
    """An instruction without weights: the roll call."""
    return RecordDict({CONFIG: config})


def with_plan(content: RecordDict, plan: RoundPlan) -> RecordDict:
    """The same instruction with another plan; `content` stays as it was, and its arrays are shared."""
    config = ConfigRecord({**config_of(content), _PLAN: plan.model_dump_json()})
    return RecordDict({**content, CONFIG: config})


def unpack_plan(content: RecordDict) -> RoundPlan:
    return validated(RoundPlan, json.loads(str(config_of(content)[_PLAN])), where=_PLAN)


def unpack_instruction(content: RecordDict) -> tuple[NDArray[np.float32], RoundPlan, float]:
    """Weights, plan and proximal mu of a training or evaluation message."""
    return unpack_weights(arrays_of(content)), unpack_plan(content), _number(content, _MU)


def unpack_training(content: RecordDict) -> Training:
    weights, plan, mu = unpack_instruction(content)
    return Training(weights, plan, mu, _number(content, _LAMBDA), _unpack_control(content))


def _number(content: RecordDict, key: str) -> float:
    """Of the configuration; 0 where a strategy does not ask for it."""
    return float(cast(float, config_of(content).get(key, 0.0)))


def status(code: str) -> ConfigRecord:
    return ConfigRecord({_CODE: code})


def refusal(code: str) -> RecordDict:
    """The whole answer of a site that could not do what was asked: a code, never a text."""
    return RecordDict({STATUS: status(code)})


def status_code(content: RecordDict) -> str:
    """`OK` or the code of a refusal."""
    record = content.get(STATUS)
    return str(record.get(_CODE, NO_STATUS)) if isinstance(record, ConfigRecord) else NO_STATUS


def pack_site_info(info: SiteInfo) -> RecordDict:
    return RecordDict(
        {
            STATUS: status(OK),
            _SITE: ConfigRecord({_NAME: info.name, _VERSION: info.version}),
            _COUNTS: MetricRecord(dict(info.counts)),
            _LEDGER: MetricRecord(dict(info.ledger)),
        }
    )


def unpack_site_info(content: RecordDict) -> SiteInfo:
    """Raises UnusableAnswer for words that no site can have: they go to the coordinator's files, page and terminal."""
    site = config_of(content, _SITE)
    if not re.fullmatch(SITE_NAME, str(site[_NAME])):
        raise UnusableAnswer("bad-name")
    if not re.fullmatch(_VERSION_LIKE, str(site[_VERSION])):
        raise UnusableAnswer("bad-version")
    counts, ledger = (
        {str(key): int(cast(int, value)) for key, value in metrics_of(content, name).items()}
        for name in (_COUNTS, _LEDGER)
    )
    if not all(re.fullmatch(_COUNT_LIKE, key) for key in (*counts, *ledger)):
        raise UnusableAnswer("bad-counts")
    return SiteInfo(str(site[_NAME]), str(site[_VERSION]), counts, ledger)


def pack_update(update: Update) -> RecordDict:
    metrics: dict[str, Any] = dict(zip(_LOSSES, update.losses, strict=True))
    metrics |= {EXAMPLES: update.studies, _STEPS: update.steps, _SECONDS: update.seconds}
    metrics |= {_ROUND: update.round, _MASK_SLICES: update.mask_slices}
    content = RecordDict({STATUS: status(OK), ARRAYS: pack_weights(update.weights), METRICS: MetricRecord(metrics)})
    if update.control_change is not None:
        set_control(content, update.control_change)
    return content


def unpack_update(content: RecordDict) -> Update:
    metrics = metrics_of(content)
    total, mask, slices, study = (float(cast(float, metrics[key])) for key in _LOSSES)
    return Update(
        unpack_weights(arrays_of(content)),
        int(cast(int, metrics[EXAMPLES])),
        int(cast(int, metrics[_STEPS])),
        (total, mask, slices, study),
        float(cast(float, metrics[_SECONDS])),
        int(cast(int, metrics[_ROUND])),
        int(cast(int, metrics[_MASK_SLICES])),
        _unpack_control(content),
    )


def _unpack_control(content: RecordDict) -> NDArray[np.float32] | None:
    """SCAFFOLD's second vector (parameters,): to a site its control, from a site the change of its own."""
    return unpack_weights(arrays_of(content, _CONTROL)) if _CONTROL in content else None


def site_order(replies: Mapping[str, Message]) -> list[Message]:
    """Replies in the order of the sites' names: floating-point sums must not depend on who was faster."""
    return [replies[name] for name in sorted(replies)]
