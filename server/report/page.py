"""The run's report: one HTML file that needs nothing else, written anew after every round."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from markupsafe import Markup

from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.page import render_page
from bloodnet_model.run_metrics import AucRecord, Counts, Evaluation, RunMetrics, SiteScores, Withheld
from server.data_use import ledger_rows, ledger_totals
from server.report.figures import ForestRow, RocCurve, forest_plot, learning_curve, partition_plot, roc_plot
from server.report.template import BODY
from server.wording import figure, in_words, interval, why_undefined

ANY: Final = CLASSES[0]


def report_html(metrics: RunMetrics, settings: str) -> str:
    """The report as HTML; equal arguments give equal text. Whatever comes from a site is escaped."""
    shown = _shown(metrics)
    return render_page(
        BODY,
        {"figure": figure, "interval": interval, "in_words": in_words, "thousands": "{:,}".format},
        metrics=metrics,
        settings=settings,
        headline=_headline(metrics, shown),
        comparisons=list(_comparisons(metrics)),
        shown=shown,
        classes=[(name, "any hemorrhage" if name == ANY else name) for name in CLASSES],
        tests=list(_tests(metrics)),
        site_rows=[_site_row(metrics, shown, name) for name in metrics.sites],
        ledger=list(ledger_rows(metrics)),
        totals=ledger_totals(metrics),
        **_figures(metrics, shown),
    )


@dataclass(frozen=True)
class Shown:
    """The evaluation that the report is about: the test, or the last validation while there is none."""

    split: Literal["test", "validation"]
    evaluation: Evaluation

    @property
    def record(self) -> AucRecord:
        return self.evaluation.any_hemorrhage

    @property
    def coarse(self) -> bool:
        """Whether binning can show in the printed digits of the AUC, so that the reader must be told beside it."""
        return (self.record.error_bound or 0) >= 0.01

    @property
    def hospitals(self) -> int:
        """How many sites are in the pooled figure."""
        return sum(isinstance(scores, dict) and scores[ANY].studies > 0 for scores in self.evaluation.sites.values())


def _shown(metrics: RunMetrics) -> Shown | None:
    if metrics.test is not None:
        return Shown("test", metrics.test)
    return Shown("validation", metrics.rounds[-1].validation) if metrics.rounds else None


@dataclass(frozen=True)
class Headline:
    """The point of the report in one line: what it is, the figure, and of how many patients."""

    what: str
    value: str = ""
    patients: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.value}{self.patients}".strip()


def _headline(metrics: RunMetrics, shown: Shown | None) -> Headline:
    if shown is None:
        return Headline("No round has been finished yet")
    hospitals = f"{shown.hospitals} hospital{'' if shown.hospitals == 1 else 's'}"
    if shown.hospitals < len(shown.evaluation.sites):
        hospitals = f"{shown.hospitals} of {len(shown.evaluation.sites)} hospitals"
    patients = f", {shown.record.studies:,} studies from {hospitals}"
    value = _with_interval(shown.record)
    if shown.split == "test":
        return Headline(_beginning(metrics, "pooled test AUC"), value, patients)
    progress = f" after round {metrics.rounds[-1].round} of {metrics.run.rounds}"
    so_far = _beginning(metrics, "test set not yet evaluated; validation AUC so far")
    return Headline(so_far, value, progress + patients)


def _beginning(metrics: RunMetrics, what: str) -> str:
    """The title of a report on synthetic heads says so in its first word."""
    return f"Synthetic heads: {what}" if metrics.run.data == "synthetic" else what[:1].upper() + what[1:]


def _with_interval(record: AucRecord) -> str:
    """`0.88 (95 % CI 0.82–0.92)`, or why it is undefined."""
    if record.auc is None:
        return f"undefined ({why_undefined(record)})"
    return f"{figure(record.auc)} ({f'95 % CI {interval(record)}' if interval(record) else 'no interval'})"


def _comparisons(metrics: RunMetrics) -> Iterator[str]:
    """One sentence for each other way of training."""
    for name, baseline in metrics.baselines.items():
        theirs = baseline.test.any_hemorrhage
        if metrics.test is None or theirs.auc is None:
            continue
        note = f" ({baseline.note})" if baseline.note else ""
        sentence = f"{in_words(name).capitalize()} training{note} reached {_with_interval(theirs)}"
        mine = metrics.test.any_hemorrhage.auc
        if mine is not None:
            difference = mine - theirs.auc
            side = "above" if difference > 0 else "below"
            apart = f"{abs(difference):.2f} {side}" if abs(difference) >= 0.005 else "within 0.005 of"
            sentence += f"; the federated model is {apart} it"
        yield f"{sentence}."


@dataclass(frozen=True)
class TestSet:
    """One line of the table of test sets; `others` are the baselines' records, in their order."""

    name: str
    record: AucRecord
    hospitals: list[str]
    others: list[AucRecord | None]


def _tests(metrics: RunMetrics) -> Iterator[TestSet]:
    """The held-out sets, after the hospitals' own test patients; nothing where there are none."""
    if metrics.test is None or not metrics.held_out:
        return
    baselines = metrics.baselines.values()
    yield _test_set("hospitals' own", metrics.test, [baseline.test for baseline in baselines])
    for name, evaluation in metrics.held_out.items():
        yield _test_set(name, evaluation, [baseline.held_out.get(name) for baseline in baselines])


def _test_set(name: str, evaluation: Evaluation, others: Iterable[Evaluation | None]) -> TestSet:
    records = [other.any_hemorrhage if other is not None else None for other in others]
    return TestSet(name, evaluation.any_hemorrhage, sorted(evaluation.sites), records)


@dataclass(frozen=True)
class SiteRow:
    """One line of the table of sites: what it trained on, how it scored, how its rounds went."""

    name: str
    trained: int
    record: AucRecord | None
    reason: str
    status: str
    well: bool


def _site_row(metrics: RunMetrics, shown: Shown | None, name: str) -> SiteRow:
    record, reason = _site_record(shown.evaluation.sites.get(name) if shown else None)
    taken = [entry.round for entry in metrics.rounds if name in entry.sites and entry.sites[name].status == "ok"]
    lost = Counter(
        in_words(entry.sites[name].reason or entry.sites[name].status)
        for entry in metrics.rounds
        if name in entry.sites and entry.sites[name].status != "ok"
    )
    status = f"{len(taken)} of {len(metrics.rounds)} rounds"
    status += "".join(f"; {count} × {why}" for why, count in sorted(lost.items()))
    trained = metrics.sites[name].counts.get("train-studies", 0)
    return SiteRow(name, trained, record, reason, status if trained else "tests only", well=not lost)


def _site_record(scores: SiteScores | None) -> tuple[AucRecord | None, str]:
    """The site's record of any hemorrhage, or None and why there is none."""
    if scores is None:
        return None, "no such patients"
    if isinstance(scores, Withheld):
        return None, f"no counts given: {in_words(scores.withheld)}"
    return scores[ANY], ""


def _figures(metrics: RunMetrics, shown: Shown | None) -> dict[str, Any]:
    """The SVG of each figure, or None where there is nothing to draw; the text beside the ROC."""
    return {
        "forest": None if shown is None else Markup(_forest(metrics, shown)),
        "learning": Markup(_learning(metrics)) if metrics.rounds else None,
        "partition": Markup(_partition(metrics)) if metrics.partition else None,
        **_roc(metrics),
    }


def _partition(metrics: RunMetrics) -> str:
    findings = {name: share.findings for name, share in metrics.partition.items()}
    return partition_plot(findings, "Studies of each hospital by kind of hemorrhage; see partition.csv.")


def _forest(metrics: RunMetrics, shown: Shown) -> str:
    sites = shown.evaluation.sites
    rows = [ForestRow(name, *_site_record(sites[name])) for name in metrics.sites if name in sites]
    return forest_plot(rows, shown.record, f"{shown.split} AUC of each hospital and of all patients; see the table.")


def _learning(metrics: RunMetrics) -> str:
    return learning_curve(metrics.rounds, metrics.run.rounds, "Validation AUC and Dice by round; see the table.")


def _roc(metrics: RunMetrics) -> dict[str, Any]:
    evaluations = {"Federated": metrics.test, **{name.capitalize(): b.test for name, b in metrics.baselines.items()}}
    curves = [
        RocCurve(name, *_histogram(evaluation.histograms[ANY]).roc())
        for name, evaluation in evaluations.items()
        if evaluation is not None and ANY in evaluation.histograms and evaluation.any_hemorrhage.auc is not None
    ]
    if not curves or curves[0].name != "Federated":
        return {"roc": None, "sensitivity": {}}
    sensitivity = {percent: curves[0].point_at(percent / 100)[1] for percent in (90, 95)}
    return {"roc": Markup(roc_plot(curves, "Receiver operating characteristic.")), "sensitivity": sensitivity}


def _histogram(counts: Counts) -> ScoreHistogram:
    return ScoreHistogram(np.array(counts.positives), np.array(counts.negatives))
