"""What each figure says, in plain words made from its numbers."""

from collections.abc import Mapping, Sequence
from math import exp
from statistics import median

import numpy as np

from bloodnet_model.run_metrics import (
    FEDERATED,
    AucRecord,
    Calibration,
    CalibrationRecord,
    CrossSite,
    OperatingRecord,
    PairedRecord,
    Round,
    Share,
    VolumeAgreement,
    WithinHospital,
)
from server.report.answer import Shown, hospital_of, is_home, record_of, verdict
from server.report.figures.curves import Curve
from server.wording import counted, figure, per_hundred, reason_of, signed


def roc(curve: Curve, sensitivity: Mapping[int, float], others: Sequence[Curve]) -> str:
    """`curve` is the run's own; `sensitivity` by specificity in percent."""
    said = " and ".join(
        f"{per_hundred(value)} of 100 bleeds at a specificity of {percent} %" for percent, value in sensitivity.items()
    )
    beside = f" Beside it: {', '.join(other.name for other in others)}." if others else ""
    return f"The {curve.name.lower()} model finds {said}.{beside}"


def precision_recall(curve: Curve, prevalence: float, record: AucRecord) -> str:
    """`curve` holds recall and precision."""
    place = int(np.flatnonzero(curve.x >= 0.9 - 1e-9)[0])
    area = f" The area under the curve is {figure(record.auprc)}." if record.auprc is not None else ""
    return (
        f"Where 90 of 100 bleeds are flagged, {per_hundred(float(curve.y[place]))} of 100 flagged patients bleed; "
        f"flagging everybody would give {per_hundred(prevalence)}.{area}"
    )


def hospitals(shown: Shown) -> str:
    """How the hospitals' own AUCs lie about the pooled one."""
    records = {name: record_of(scores)[0] for name, scores in shown.evaluation.sites.items()}
    known = {name: record.auc for name, record in records.items() if record is not None and record.auc is not None}
    pooled = shown.record.auc
    if not known or pooled is None:
        return "No hospital's AUC can be set beside the pooled one."
    worst, best = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    if worst == best:
        said = f"Only {worst} has an AUC of its own: {figure(known[worst])}."
    elif figure(known[worst]) == figure(known[best]):
        said = f"All hospitals' AUCs are about {figure(known[best])}."
    else:
        said = f"Hospitals' AUCs run from {figure(known[worst])} ({worst}) to {figure(known[best])} ({best})."
    spans = [one for one in records.values() if one is not None and one.auc_low is not None]
    around = sum((one.auc_low or 0) <= pooled <= (one.auc_high or 1) for one in spans)
    if spans:
        said += f" {around} of {counted(len(spans), 'interval')} {'hold' if around != 1 else 'holds'} "
        said += f"the pooled AUC of {figure(pooled)}."
    silent = len(records) - len(known)
    if silent:
        said += f" {counted(silent, 'hospital')} {'has' if silent == 1 else 'have'} none; the row says why."
    return said


def within(record: WithinHospital) -> str:
    """The within-hospital estimand, named as the other quantity it is."""
    if record.auc is None:
        return f"The AUC within a typical hospital is undefined: {reason_of(record.undefined)}."
    span = ""
    if record.auc_low is not None and record.auc_high is not None:
        span = f" (95 % CI {figure(record.auc_low)}–{figure(record.auc_high)})"
    spread = f" Hospitals differ by a standard deviation of {record.tau:.2f} on the logit scale." if record.tau else ""
    return (
        f"Within a typical hospital, patients are ranked with an AUC of {figure(record.auc)}{span}, from "
        f"{counted(record.hospitals, 'hospital')}: another quantity than the pooled AUC, which also ranks patients of "
        f"different hospitals against each other.{spread}"
    )


def groups(records: Mapping[str, AucRecord]) -> str:
    """Of `records`, one at least has an AUC."""
    known = {name: record.auc for name, record in records.items() if record.auc is not None}
    worst, best = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    if figure(known[worst]) == figure(known[best]):
        return f"All about {figure(known[best])}."
    low, high = records[best].auc_low, records[worst].auc_high
    apart = low is not None and high is not None and low > high
    return (
        f"From {figure(known[worst])} ({worst}) to {figure(known[best])} ({best}); their intervals "
        f"{'do not overlap: look into it' if apart else 'overlap'}."
    )


def paired(known: Sequence[PairedRecord]) -> str:
    """What paired intervals on one kind of patients say together."""
    better = sum(verdict(one) == "better" for one in known)
    worse = sum(verdict(one).startswith("worse") for one in known)
    if len(known) == 1:
        side = {(1, 0): "lies above 0", (0, 1): "lies below 0"}.get((better, worse), "holds 0")
        return f"Against {known[0].second}: {signed(_delta(known[0]))} of AUC; the interval {side}."
    low, high = min(known, key=_delta), max(known, key=_delta)
    chance = "; of so many, about one in twenty misses the truth by chance" if len(known) >= 10 else ""
    return (
        f"From {signed(_delta(low))} ({hospital_of(low.second)}) to {signed(_delta(high))} "
        f"({hospital_of(high.second)}). "
        f"Of {len(known)} intervals {better or 'none'} {'lies' if better == 1 else 'lie'} above 0 and "
        f"{worse or 'none'} below{chance}."
    )


def _delta(one: PairedRecord) -> float:
    return one.delta or 0.0


def learning(rounds: Sequence[Round], total: int) -> str:
    known = [(entry.round, auc) for entry in rounds if (auc := entry.validation.any_hemorrhage.auc) is not None]
    if not known:
        return f"After {counted(len(rounds), 'round')} no validation AUC is defined."
    if len(known) == 1:
        return f"After round {known[0][0]} of {total} the validation AUC is {figure(known[0][1])}."
    (first, start), (last, end) = known[0], known[-1]
    best, height = max(known, key=lambda point: point[1])
    peak = ", the highest" if best == last else f"; the highest was {figure(height)} in round {best}"
    moved = max(auc for _, auc in known[-5:]) - min(auc for _, auc in known[-5:])
    still = f" Over the last {min(5, len(known))} rounds it moved within {moved:.3f}."
    return f"From {figure(start)} after round {first} to {figure(end)} after round {last}{peak}.{still}"


def flagged(operating: OperatingRecord) -> str:
    rates = operating.pooled
    chosen = f"The threshold was set for a {operating.target} of {100 * operating.wanted:g} % on validation patients"
    reached = getattr(rates, operating.target).value
    if reached is None:
        return f"{chosen}; among these patients nobody can show it."
    missed = rates.sensitivity.of - rates.sensitivity.count
    alarms = rates.specificity.of - rates.specificity.count
    return (
        f"{chosen}; here it gives {100 * reached:.0f} %. {missed:,} of {counted(rates.sensitivity.of, 'bleed')} "
        f"{'is' if missed == 1 else 'are'} missed, {alarms:,} of {rates.specificity.of:,} patients without hemorrhage "
        "are flagged."
    )


def calibration(record: Calibration) -> str:
    said = f"As scored, a score is off by {100 * record.as_scored.expected_error:.1f} points of 100 on average"
    extreme = _furthest(record.as_scored)
    if record.recalibrated is not None:
        said += f"; recalibrated, by {100 * record.recalibrated.expected_error:.1f}"
    return f"{said}.{extreme}"


def _furthest(record: CalibrationRecord) -> str:
    """The bin of at least 20 studies, or the fullest, that lies furthest from the diagonal."""
    filled = [entry for entry in record.bins if entry.studies >= 20] or [e for e in record.bins if e.studies]
    if not filled:
        return ""
    worst = max(filled, key=lambda entry: abs(entry.positives / entry.studies - entry.mean_score))
    return (
        f" Furthest off: of {counted(worst.studies, 'study', 'studies')} told {100 * worst.mean_score:.0f} % on "
        f"average, {100 * worst.positives / worst.studies:.0f} % bled."
    )


def temperature(record: Calibration) -> str:
    """What temperature and bias mean."""
    if record.temperature is None or record.bias is None:
        return "No recalibration could be fitted on the validation patients."
    heat = record.temperature
    if abs(heat - 1) < 0.05:
        sure = "scores are about as sure as they should be"
    else:
        sure = "scores are too sure of themselves" if heat > 1 else "scores are too cautious"
    if abs(record.bias) < 0.05:
        shift = "and need no shift"
    else:
        side = "low" if record.bias > 0 else "high"
        shift = f"and too {side}: the odds of hemorrhage are multiplied by {exp(record.bias):.2f}"
    return (
        f"Temperature {heat:.2f}, bias {signed(record.bias, 2)}, both fitted on validation patients: {sure} {shift}. "
        "A recalibrated score is sigmoid(logit / temperature + bias); the order of patients, and so the AUC, stays."
    )


def volume(record: VolumeAgreement) -> str:
    mean = record.mean_difference_ml
    said = f"Over {counted(record.studies, 'study', 'studies')} the outlines are {abs(mean):.1f} ml too "
    said += f"{'large' if mean > 0 else 'small'} on average"
    if record.low_ml is None or record.high_ml is None:
        return f"{said}; too few studies for limits of agreement."
    return (
        f"{said}; 95 of 100 studies lie between {signed(record.low_ml, 1)} and {signed(record.high_ml, 1)} ml "
        "(Bland and Altman's limits of agreement)."
    )


def cross_site(matrix: CrossSite) -> str:
    """Whether a hospital's own model travels."""
    own: list[float] = []
    away: list[float] = []
    for model, row in matrix.rows.items():
        for patients, record in row.items():
            if record.auc is not None and model != FEDERATED:
                (own if is_home(model, patients) else away).append(record.auc)
    if not own or not away:
        return "Each row is a model, each column the patients it was tested on."
    drop = median(own) - median(away)
    return (
        f"A hospital's own model has a median AUC of {figure(median(own))} at home and {figure(median(away))} on other "
        f"hospitals' patients: {'it loses ' + figure(drop) if drop >= 0.005 else 'it loses nothing'} on the way."
    )


def partition(shares: Mapping[str, Share]) -> str:
    sizes = {name: share.studies for name, share in shares.items()}
    small, large = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    total = f"{counted(sum(sizes.values()), 'study', 'studies')} were dealt to {counted(len(sizes), 'hospital')}"
    return f"{total}: from {sizes[small]:,} ({small}) to {sizes[large]:,} ({large})."
