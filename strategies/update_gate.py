"""What a site's answer to a training message must pass before it counts.

`checked_update` looks at one answer, first at its form: nothing is unpacked that is not byte for byte laid out as an
update is. `outlying` looks at all answers of a round together, `set_aside` at the rounds so far. A refusal has one of
the reasons of `REFUSALS` and costs its site the round. docs/update-gate.md says what to do about each, and what no
gate can tell.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from statistics import median_low
from typing import Final, NamedTuple

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from numpy.lib import format as npy
from numpy.typing import NDArray

from bloodnet_model.errors import UnusableAnswer
from bloodnet_model.schedule import Schedule, steps_per_epoch
from strategies import records
from strategies.aggregation import blocks
from strategies.records import RoundPlan, Update
from strategies.vectors import Vector

REFUSALS: Final[Mapping[str, str]] = {
    "missing-records": "a record or a key that every update has is not there",
    "unknown-records": "a record or a key is there that no update has",
    "wrong-type": "a value is of another type than in every update: weights float32, counts whole numbers",
    "wrong-shape": "the weights have another length than the network",
    "too-large": "the weights take several times the bytes that the network's take",
    "not-an-array": "the bytes of the weights are not laid out as an array of that type and length",
    "not-finite": "the weights, the losses or the seconds hold NaN or infinity",
    "stale-round": "the update is of another round than was asked for",
    "zero-studies": "the site says that it trained on no study",
    "too-many-studies": "the site claims more training studies than it declared at the roll call",
    "wrong-steps": "the steps are not those that its studies, the epochs and the limit of steps come to",
    "wrong-slices": "the slices with a mask are negative, or more than its studies can have",
    "impossible-loss": "a loss is negative or beyond all reason",
    "impossible-seconds": "the training took less than no time, or longer than the coordinator waited",
    "unchanged": "the weights are those that were sent out",
    "replayed": "the weights are those of an earlier update of this site",
    "norm-too-large": "the weights moved further than the run's `max_update_norm`",
    "norm-unlike-others": "for its steps, the weights moved further than `norm_ratio` times as far as the other sites'",
    "control-unlike-others": "SCAFFOLD's control changed by more than `norm_ratio` times as much as the other sites'",
}

NORM_RATIO: Final = 10.0
"""Default of `norm_ratio`; docs/update-gate.md has the ratios of honest sites from which it was chosen."""

IN_A_ROW: Final = 3
"""Refusals after which a site is set aside."""

_MOST_TIMES: Final = 4
"""As many times the expected bytes are still looked at, so that a double-precision update is refused by its type."""
_MOST_SLICES: Final = 2_000  # of a study: a whole head in slices of 0.125 mm
_MOST_LOSS: Final = 1e6  # an untrained network is below 100
_BLOCK_VALUES: Final = 1 << 18  # 2 MB of float64


@dataclass(frozen=True, eq=False)
class Expected:
    """What the coordinator knows before a site answers.

    plan:             as it was sent to this site
    previous:         the weights that it was sent, (parameters,)
    declared_studies: training studies that it declared at the roll call
    longest_s:        how long the coordinator waits for the answer
    max_norm:         largest change of the weights (L2); 0 is no limit
    earlier:          `fingerprint` of each update of this site that was accepted in this run
    control:          whether SCAFFOLD asks for the change of the site's control
    """

    plan: RoundPlan
    previous: NDArray[np.float32]
    declared_studies: int
    longest_s: float
    max_norm: float = 0.0
    earlier: frozenset[str] = frozenset()
    control: bool = False

    def steps(self, studies: int) -> int:
        """The optimiser steps that training on so many studies takes."""
        plan = self.plan
        schedule = Schedule(plan.round, plan.total_rounds, plan.local_epochs, plan.local_steps)
        return schedule.steps(steps_per_epoch(studies, plan.model.training.studies_per_step))


class Checked(NamedTuple):
    """An update that may count, the L2 norm of its change of the weights, and SHA-256 of the weights' bytes."""

    update: Update
    norm: float
    fingerprint: str


def checked_update(content: RecordDict, expected: Expected) -> Checked:
    """The update that `content` holds.

    Raises UnusableAnswer with one of the reasons of `REFUSALS`.
    """
    _require_form(content, expected)
    update = records.unpack_update(content)
    _require(_all_finite(update), "not-finite")
    _require_claims(update, expected)
    norm = l2_norm(update.weights, expected.previous)
    _require(norm > 0, "unchanged")
    known_by = fingerprint(update)
    _require(known_by not in expected.earlier, "replayed")
    _require(not expected.max_norm or norm <= expected.max_norm, "norm-too-large")
    return Checked(update, norm, known_by)


def outlying(norms: Mapping[str, float], steps: Mapping[str, int], ratio: float) -> frozenset[str]:
    """Sites whose weights moved more than `ratio` times as far as those of the others' median; none where 0.

    norms: of each site's change of the weights; steps: the optimiser steps that it made. Both are of one round.

    Distances are divided by the square root of the steps: a large honest site moves further than a small one, and
    nearly by that. The median is the lower one, so that of an even number half may lie; it takes two others. Changes of
    SCAFFOLD's control are means over the steps: they are compared with one step for all.
    """
    paces = {site: norm / math.sqrt(steps[site]) for site, norm in norms.items()}
    if not ratio or len(paces) < 3:
        return frozenset()
    return frozenset(
        site
        for site, pace in paces.items()
        if pace > ratio * median_low([of for other, of in paces.items() if other != site])
    )


def set_aside(history: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """Sites of which the gate refused the last three answers; a site that could not answer did nothing wrong.

    history: reasons by site, oldest first; an empty one where the update counted, or where the coordinator admitted
        the site again. Only reasons of `REFUSALS` count; others, and rounds without the site, neither add nor end.
    """
    row: Counter[str] = Counter()
    for outcomes in history:
        for site, reason in outcomes.items():
            if not reason:
                row[site] = 0
            elif reason in REFUSALS:
                row[site] += 1
    return frozenset(site for site, refusals in row.items() if refusals >= IN_A_ROW)


def fingerprint(update: Update) -> str:
    """SHA-256 of the weights' bytes, by which a replay is known."""
    return sha256(np.ascontiguousarray(update.weights[:]).data).hexdigest()


def l2_norm(vector: Vector, minus: Vector | None = None) -> float:
    """L2 norm of `vector`, or of its difference from another, in float64, a block at a time."""
    squares = 0.0
    for block in blocks(len(vector), _BLOCK_VALUES):
        part = vector[block].astype(np.float64)
        part -= 0 if minus is None else minus[block]
        squares += float(np.square(part, out=part).sum())  # a product's threads could change the last bits
    return math.sqrt(squares)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise UnusableAnswer(reason)


def _require_form(content: RecordDict, expected: Expected) -> None:
    """Hold `content` against an update as `records` packs it: the same records, keys and types, and nothing else."""
    pattern = _pattern(expected.control)
    _require_keys(content.keys(), pattern.keys())
    for name, record in pattern.items():
        theirs = content[name]
        _require(type(theirs) is type(record), "wrong-type")
        _require_keys(theirs.keys(), record.keys())
        if isinstance(theirs, MetricRecord):
            _require(all(_is_like(theirs[key], one) for key, one in record.items()), "wrong-type")
        elif isinstance(theirs, ArrayRecord):
            for array in theirs.values():
                _require_array(array, len(expected.previous))


def _require_keys(theirs: Iterable[str], ours: Iterable[str]) -> None:
    _require(set(ours) <= set(theirs), "missing-records")
    _require(set(theirs) <= set(ours), "unknown-records")


def _is_like(value: object, pattern: object) -> bool:
    """Whether `value` is a number as `pattern` is; a whole number may stand for a fraction, not the other way."""
    return isinstance(value, int | float if isinstance(pattern, float) else int)


def _require_array(array: Array, parameters: int) -> None:
    """A float32 vector as numpy writes it: its header is compared and not parsed."""
    header, length = _npy_header(parameters), 4 * parameters
    _require(len(array.data) <= _MOST_TIMES * (len(header) + length), "too-large")
    _require(array.dtype == "float32", "wrong-type")
    _require(tuple(array.shape) == (parameters,), "wrong-shape")
    _require(array.stype == "numpy.ndarray", "not-an-array")
    _require(array.data.startswith(header) and len(array.data) == len(header) + length, "not-an-array")


def _npy_header(parameters: int) -> bytes:
    """The bytes that come before the values of a float32 vector in numpy's format."""
    buffer = BytesIO()
    npy.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (parameters,)})
    return buffer.getvalue()


def _pattern(control: bool) -> RecordDict:
    """An update with everything that can travel in it."""
    vector = np.zeros(1, np.float32)
    return records.pack_update(Update(vector, 1, 1, (0.0, 0.0, 0.0, 0.0), 0.0, 1, 0, vector if control else None))


def _all_finite(update: Update) -> bool:
    vectors = [of[:] for of in (update.weights, update.control_change) if of is not None]
    return all(np.isfinite(of).all() for of in vectors) and all(map(math.isfinite, (*update.losses, update.seconds)))


def _require_claims(update: Update, expected: Expected) -> None:
    """What a site says of its training, against what it was asked to do and what it declared."""
    _require(update.round == expected.plan.round, "stale-round")
    _require(update.studies >= 1, "zero-studies")
    _require(update.studies <= expected.declared_studies, "too-many-studies")
    _require(update.steps == expected.steps(update.studies), "wrong-steps")
    _require(0 <= update.mask_slices <= _MOST_SLICES * update.studies, "wrong-slices")
    _require(all(0 <= loss <= _MOST_LOSS for loss in update.losses), "impossible-loss")
    _require(0 <= update.seconds <= expected.longest_s, "impossible-seconds")
