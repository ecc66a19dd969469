"""Which round's model is the best by validation, and whether going on is still worth it.

All of it comes from the rounds' lines, so a resumed run decides as one that was not. More is better of every metric.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from statistics import fmean
from typing import Any, Final, Literal

from bloodnet_model.labels import CLASSES
from bloodnet_model.run_metrics import RoundValue, Selection

Line = Mapping[str, Any]
Values = Mapping[int, float | None]
"""Of a metric by round; None where it is undefined."""


@dataclass(frozen=True)
class Metric:
    """A figure of validation patients: what it is, and where a round's line has it."""

    words: str
    read: Callable[[Line], float | None]


def _within_hospital(line: Line) -> float | None:
    within: Line = line["validation"].get("within_hospital") or {}
    return within.get("auc")


def _mean_of_kinds(line: Line) -> float | None:
    """Each kind of hemorrhage counts alike, however rare; one that has no AUC in this round is left out."""
    pooled = line["validation"]["pooled"]
    known = [auc for kind in CLASSES[1:] if (auc := pooled[kind]["auc"]) is not None]
    return fmean(known) if known else None


METRICS: Final[Mapping[str, Metric]] = {
    "auc": Metric("pooled AUC of any hemorrhage", lambda line: line["validation"]["pooled"][CLASSES[0]]["auc"]),
    "auprc": Metric(
        "pooled average precision of any hemorrhage",
        lambda line: line["validation"]["pooled"][CLASSES[0]].get("auprc"),
    ),
    "within-hospital-auc": Metric("AUC within a typical hospital", _within_hospital),
    "mean-class-auc": Metric("mean of the pooled AUCs of the kinds of hemorrhage", _mean_of_kinds),
    "dice": Metric("mean Dice of studies with drawn blood", lambda line: line["validation"].get("dice")),
}
"""What a run may be judged by, by the name that its settings give it."""


def value(line: Line, metric: str) -> float | None:
    """Of one of `METRICS` in a round; None where it is undefined."""
    found = METRICS[metric].read(line)
    return found if found is not None and isfinite(found) else None


def values(lines: Iterable[Line], metric: str) -> dict[int, float | None]:
    """Of all rounds, in their order."""
    return {line["round"]: value(line, metric) for line in lines}


def best(rounds: Values) -> tuple[int, float] | None:
    """Round and value of the best round so far, of equals the earliest; None where no round has a value."""
    known = [(number, found) for number, found in rounds.items() if found is not None]
    return max(known, key=lambda one: one[1], default=None)  # max() takes the first of equals


def stop_now(rounds: Values, patience: int) -> bool:
    """Whether the last `patience` rounds brought nothing better; patience 0 never stops.

    A round without a value is one without improvement: so is the first of a run whose metric is never defined.
    """
    if patience == 0:
        return False
    found = best(rounds)
    return sum(found is None or number > found[0] for number in rounds) >= patience


def selection(
    rounds: Values, metric: str, patience: int, planned_rounds: int, chosen: Literal["last", "best"]
) -> Selection | None:
    """The entry of metrics.json after these rounds, whose values are of `metric`; None before there is one.

    chosen: which of the two the run is to end with; where no round has a value, it is the last in any case
    """
    if not rounds:
        return None
    last, found = max(rounds), best(rounds)
    return Selection(
        metric=metric,
        chosen=chosen if found else "last",
        last=RoundValue(round=last, value=rounds[last]),
        best=RoundValue(round=found[0], value=found[1]) if found else None,
        stopped_early=last < planned_rounds and stop_now(rounds, patience),
        patience=patience,
        planned_rounds=planned_rounds,
    )
