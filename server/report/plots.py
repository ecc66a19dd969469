"""Which figures a run has, by name, in the page's order; each comes with its reading."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from string import ascii_uppercase
from typing import Final

import numpy as np

from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.precision_recall import precision_recall_curve
from bloodnet_model.run_metrics import AucRecord, Evaluation, OperatingRecord, PairedRecord, RunMetrics, WithinHospital
from server.report import readings
from server.report.answer import Shown, Whose, by_patients, hospital_of, record_of
from server.report.figures.curves import Curve, Point, precision_recall_plot, roc_plot
from server.report.figures.forest import Row, auc_forest, difference_forest
from server.report.figures.partition import partition_plot
from server.report.figures.use import flagged_plot, reliability_plot, volume_plot
from server.report.plot import Plot
from server.report.training_plots import training_plots
from server.wording import figure, in_words, interval, reason_of, signed, signed_span, why_undefined

OWN: Final = "Federated"
"""The run's own curve."""


def plots_of(metrics: RunMetrics, shown: Shown | None) -> dict[str, Plot]:
    """Only those for which there is something to draw."""
    return {plot.name: plot for plot in _plots(metrics, shown)}


def _plots(metrics: RunMetrics, shown: Shown | None) -> Iterator[Plot]:
    yield from _differences(metrics.comparisons)
    if metrics.test is not None:
        yield from _curves(metrics, metrics.test)
    if shown is not None:
        yield _forest(metrics, shown)
        if any(record.auc is not None for record in shown.evaluation.groups.values()):
            yield _groups(shown)
        yield from _use(shown.evaluation)
    if metrics.rounds:
        yield from training_plots(metrics)
    if metrics.partition:
        findings = {name: share.findings for name, share in metrics.partition.items()}
        reading = readings.partition(metrics.partition)
        yield Plot("partition", "Who was dealt what", reading, partial(partition_plot, findings))


_WHOSE: Final[Mapping[Whose, str]] = {
    "all": "Federated minus other models, on all patients",
    "own": "Federated minus each hospital's own, on its patients",
    "others": "Federated minus each hospital's own, on all others'",
}


def _differences(comparisons: Sequence[PairedRecord]) -> Iterator[Plot]:
    """One figure for each kind of patients, so that rows of one figure can be read against each other."""
    for kind, of_kind in by_patients(comparisons).items():
        known = [one for one in of_kind if one.delta is not None]
        if not known:
            continue
        rows = [
            Row(
                one.second if kind == "all" else hospital_of(one.second),
                f"{signed(one.delta or 0)} ({signed_span(one) or 'no interval'})",
                one.delta,
                one.low,
                one.high,
                kind="all" if kind == "all" else "one",
            )
            for one in known
        ]
        margins = {one.margin for one in known}
        margin = margins.pop() if len(margins) == 1 else None
        make = partial(difference_forest, rows, margin, "right of 0: the federated model is better")
        note = "Difference of AUCs of two models on the same patients, with paired intervals."
        yield Plot(f"differences-{kind}", _WHOSE[kind], readings.paired(known), make, note)


def _curves(metrics: RunMetrics, test: Evaluation) -> Iterator[Plot]:
    histograms = dict(_histograms(metrics, test))
    own = histograms.get(OWN)
    if own is None:
        return
    rocs = [Curve(name, *histogram.roc()) for name, histogram in histograms.items()]
    sensitivity = {percent: _sensitivity_at(rocs[0], percent / 100) for percent in (90, 95)}
    points = [
        Point(letter, _ring(one), 1 - specificity, sensitivity_)
        for letter, one in zip(ascii_uppercase, test.operating, strict=False)
        if (specificity := one.pooled.specificity.value) is not None
        and (sensitivity_ := one.pooled.sensitivity.value) is not None
    ]
    yield Plot(
        "roc",
        "Sensitivity and specificity",
        readings.roc(rocs[0], sensitivity, rocs[1:]),
        partial(roc_plot, rocs, points),
        "Read off this curve; a threshold for use has to be fixed on other patients"
        + (", as that of the rings was." if points else "."),
    )
    curves = [Curve(name, *precision_recall_curve(histogram)) for name, histogram in histograms.items()]
    prevalence = own.positive_count / own.studies
    points = [
        Point(letter, _ring(one), found, right)
        for letter, one in zip(ascii_uppercase, test.operating, strict=False)
        if (found := one.pooled.sensitivity.value) is not None and (right := one.pooled.ppv.value) is not None
    ]
    yield Plot(
        "precision-recall",
        "Precision and recall",
        readings.precision_recall(curves[0], prevalence, test.any_hemorrhage),
        partial(precision_recall_plot, curves, points, prevalence),
        "Precision depends on how common hemorrhage is: it holds for patients like these.",
    )


def _histograms(metrics: RunMetrics, test: Evaluation) -> Iterator[tuple[str, ScoreHistogram]]:
    """Of the run and of each baseline, where both curves are defined."""
    evaluations = {OWN: test, **{name.capitalize(): baseline.test for name, baseline in metrics.baselines.items()}}
    for name, evaluation in evaluations.items():
        histogram = evaluation.histogram_of_any()
        if histogram is not None and evaluation.any_hemorrhage.auc is not None:
            yield in_words(name), histogram


def _ring(operating: OperatingRecord) -> str:
    return f"score {figure(operating.threshold, 2)} or more"


def _sensitivity_at(curve: Curve, specificity: float) -> float:
    """The highest sensitivity among thresholds with at least this specificity."""
    return float(curve.y[np.flatnonzero(curve.x <= 1 - specificity + 1e-12)[-1]])


def _forest(metrics: RunMetrics, shown: Shown) -> Plot:
    sites = shown.evaluation.sites
    rows = [_auc_row(name, *record_of(sites[name])) for name in metrics.sites if name in sites]
    within = shown.evaluation.within_hospital
    if within is not None:
        rows.append(_within_row(within))
    everybody = _auc_row("All patients", shown.record, "")
    pooled = Row(
        everybody.name, everybody.text, everybody.value, everybody.low, everybody.high, everybody.below, "all", True
    )
    note = f"{shown.split.capitalize()} studies, any hemorrhage; the vertical line is the AUC of all patients."
    return Plot(
        "hospitals",
        "Every hospital, and all patients together",
        readings.hospitals(shown),
        partial(auc_forest, [*rows, pooled], shown.record.auc),
        f"{note} {readings.within(within)}" if within is not None else note,
    )


def _auc_row(name: str, record: AucRecord | None, reason: str) -> Row:
    if record is None:
        return Row(name, reason)
    counts = f"{record.studies:,} studies, {record.positives:,} pos."
    if record.auc is None:
        return Row(name, why_undefined(record), below=counts)
    text = f"{figure(record.auc)} ({interval(record) or 'no interval'})"
    return Row(name, text, record.auc, record.auc_low, record.auc_high, counts)


def _within_row(within: WithinHospital) -> Row:
    below = f"another quantity; {within.hospitals} hosp."
    if within.auc is None:
        return Row("Typical hospital", reason_of(within.undefined), below=below, ruled=True)
    span = "no interval"
    if within.auc_low is not None and within.auc_high is not None:
        span = f"{figure(within.auc_low)}–{figure(within.auc_high)}"
    text = f"{figure(within.auc)} ({span})"
    return Row("Typical hospital", text, within.auc, within.auc_low, within.auc_high, below, "other", ruled=True)


def _groups(shown: Shown) -> Plot:
    records = shown.evaluation.groups
    rows = [_auc_row(name, record, "") for name, record in records.items()]
    return Plot(
        "groups",
        "By group, all hospitals together",
        readings.groups(records),
        partial(auc_forest, rows, shown.record.auc),
        "Groups as the hospitals declare them, such as scanners; the vertical line is the AUC of all patients.",
    )


def _use(evaluation: Evaluation) -> Iterator[Plot]:
    if evaluation.operating:
        first = evaluation.operating[0]
        yield Plot("flagged", "Who is flagged", readings.flagged(first), partial(flagged_plot, first.pooled))
    calibration = evaluation.calibration
    if calibration is not None and any(entry.studies for entry in calibration.as_scored.bins):
        again = calibration.recalibrated.bins if calibration.recalibrated else []
        yield Plot(
            "reliability",
            "What was said, and what was so",
            readings.calibration(calibration),
            partial(reliability_plot, calibration.as_scored.bins, again),
            "On the diagonal a score is the share that bleeds. Upright lines: 95 % intervals (Wilson).",
        )
    volume = evaluation.segmentation.volume if evaluation.segmentation else None
    if volume is not None and volume.low_ml is not None and volume.high_ml is not None:
        make = partial(volume_plot, volume.mean_difference_ml, volume.low_ml, volume.high_ml)
        yield Plot("volume", "Volume of blood", readings.volume(volume), make)
