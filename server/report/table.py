"""A run's figures as plain rows, one figure a row: what `report --format csv` and `json` print."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Any

from bloodnet_model.run_metrics import AucRecord, Evaluation, OperatingRecord, PairedRecord, Proportion, RunMetrics
from server.report.answer import ANY, record_of
from server.report.participation import attendances


@dataclass(frozen=True)
class FigureRow:
    """One figure; what does not exist is None, and `note` says why.

    split:    validation, test, or the name of a held-out test set; of rounds, training
    patients: all, a site, `group` and its name, or whose a paired comparison says
    kind:     class of hemorrhage, if it is of one
    of:       studies that the figure is of; of updates that counted, those that were asked for
    """

    run: str
    split: str
    patients: str
    kind: str
    figure: str
    value: float | None
    low: float | None = None
    high: float | None = None
    of: int | None = None
    note: str = ""


def figure_rows(name: str, metrics: RunMetrics) -> Iterator[FigureRow]:
    """All figures of the run called `name`: of its rounds, the last validation, the test, test sets of their own."""
    yield from training_rows(name, metrics)
    splits: dict[str, Evaluation] = {}
    if metrics.rounds:
        splits["validation"] = metrics.validation or metrics.rounds[-1].validation
    if metrics.test is not None:
        splits["test"] = metrics.test
    for split, evaluation in (splits | metrics.held_out).items():
        yield from _evaluation(name, split, evaluation)
    for one in metrics.comparisons:
        yield _paired(name, one)


def training_rows(run: str, metrics: RunMetrics) -> Iterator[FigureRow]:
    """Who took part, how long answers took, how far updates went, the choice of a model, and the forecast."""
    for site, one in attendances(metrics).items():
        start = (run, "training", site, "")
        yield FigureRow(*start, "updates that counted", one.counted, of=one.asked, note=one.of_the_others)
        for figure, values in (("seconds to answer", one.answers_s), ("norm over the round's middle one", one.strides)):
            if values:
                note = "median of its rounds; low and high are the least and the greatest"
                yield FigureRow(*start, figure, median(values), min(values), max(values), note=note)
    choice, ahead = metrics.selection, metrics.forecast
    if choice is not None:
        for which, at in {"last": choice.last, "best": choice.best}.items():
            note = "chosen" if which == choice.chosen else ""
            if at is not None:
                yield FigureRow(run, "validation", "all", "", f"{choice.metric}, {which} round", at.value, note=note)
                yield FigureRow(run, "training", "all", "", f"{which} round", at.round, note=note)
    if ahead is not None:
        ends = f"ends about {ahead.ends_at}" if ahead.ends_at else ""
        yield FigureRow(run, "training", "all", "", "seconds a round", ahead.seconds_a_round, note=ends)
        note = f"three times the usual answer of {ahead.slowest}, rounded up" if ahead.slowest else "none was timed"
        yield FigureRow(run, "training", "all", "", "proposed deadline in seconds", ahead.deadline_s, note=note)


def _evaluation(run: str, split: str, evaluation: Evaluation) -> Iterator[FigureRow]:
    for kind, record in evaluation.pooled.items():
        yield from _scores(run, split, "all", kind, record)
    for site, scores in evaluation.sites.items():
        site_record, reason = record_of(scores)
        if site_record is None:
            yield FigureRow(run, split, site, ANY, "auc", None, note=reason)
        else:
            yield from _scores(run, split, site, ANY, site_record)
    for group, record in evaluation.groups.items():
        yield from _scores(run, split, f"group {group}", ANY, record)
    within = evaluation.within_hospital
    if within is not None:
        low_high = (within.auc_low, within.auc_high)
        note = within.undefined or f"random effects over {within.hospitals} hospitals"
        yield FigureRow(run, split, "all", ANY, "auc within a typical hospital", within.auc, *low_high, note=note)
    for operating in evaluation.operating:
        yield from _operating(run, split, operating)
    yield from _calibration_and_masks(run, split, evaluation)


def _scores(run: str, split: str, patients: str, kind: str, record: AucRecord) -> Iterator[FigureRow]:
    start, note = (run, split, patients, kind), record.undefined or ""
    yield FigureRow(*start, "auc", record.auc, record.auc_low, record.auc_high, record.studies, note)
    yield FigureRow(*start, "auprc", record.auprc, record.auprc_low, record.auprc_high, record.studies)
    yield FigureRow(*start, "positive studies", record.positives, of=record.studies)


def _operating(run: str, split: str, operating: OperatingRecord) -> Iterator[FigureRow]:
    chosen = f"chosen on validation for a {operating.target} of {operating.wanted:g}"
    target = f"{operating.target} {operating.wanted:g}"
    yield FigureRow(run, split, "all", ANY, f"threshold for {target}", operating.threshold, note=chosen)
    for patients, rates in {"all": operating.pooled, **operating.sites}.items():
        shares: dict[str, Proportion] = {name: getattr(rates, name) for name in type(rates).model_fields}
        for name, share in shares.items():
            what = f"{name} at the threshold for {target}"
            yield FigureRow(run, split, patients, ANY, what, share.value, share.low, share.high, share.of)


def _calibration_and_masks(run: str, split: str, evaluation: Evaluation) -> Iterator[FigureRow]:
    calibration, masks = evaluation.calibration, evaluation.segmentation
    found: dict[str, tuple[float | None, int | None]] = {}
    if calibration is not None:
        found["brier score"] = calibration.as_scored.brier, None
        found["expected calibration error"] = calibration.as_scored.expected_error, None
        found["temperature"] = calibration.temperature, None
        found["bias"] = calibration.bias, None
        if calibration.recalibrated is not None:
            found["brier score, recalibrated"] = calibration.recalibrated.brier, None
            found["expected calibration error, recalibrated"] = calibration.recalibrated.expected_error, None
    if masks is not None:
        found["dice"] = masks.dice, masks.dice_studies
        found["false positive ml"] = masks.false_positive_ml, masks.negatives
    elif evaluation.dice is not None:
        found["dice"] = evaluation.dice, None
    for name, (value, of) in found.items():
        yield FigureRow(run, split, "all", ANY, name, value, of=of)
    if masks is not None and masks.volume is not None:
        volume, what = masks.volume, "volume difference ml"
        ends = (volume.low_ml, volume.high_ml)
        note = "low and high are limits of agreement"
        yield FigureRow(run, split, "all", ANY, what, volume.mean_difference_ml, *ends, volume.studies, note)


def _paired(run: str, one: PairedRecord) -> FigureRow:
    figure = f"auc of {one.first} minus {one.second}"
    note = one.undefined or f"paired interval; margin {one.margin:g}"
    return FigureRow(run, "test", one.patients, ANY, figure, one.delta, one.low, one.high, one.studies, note)


def as_csv(runs: Mapping[str, RunMetrics]) -> str:
    """One figure a row, a header above; lines end as in RFC 4180."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow([field.name for field in fields(FigureRow)])
    for name, metrics in runs.items():
        writer.writerows(_cells(row) for row in figure_rows(name, metrics))
    return file.getvalue()


def _cells(row: FigureRow) -> Sequence[str | float | int | None]:
    return [_harmless(value) if isinstance(value, str) else value for value in asdict(row).values()]


def _harmless(text: str) -> str:
    """A spreadsheet must not take what a site calls itself for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text[:1] else text


def as_json(runs: Mapping[str, RunMetrics]) -> str:
    """The runs, and the same rows as in CSV."""
    told: dict[str, Any] = {
        "runs": [
            {
                "name": name,
                **metrics.run.model_dump(exclude={"name"}),
                "rounds_done": len(metrics.rounds),
                **metrics.model_dump(include={"selection", "forecast"}),
            }
            for name, metrics in runs.items()
        ],
        "figures": [asdict(row) for name, metrics in runs.items() for row in figure_rows(name, metrics)],
    }
    return json.dumps(told, indent=1) + "\n"
