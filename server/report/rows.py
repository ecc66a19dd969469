"""Rows of the report's tables."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from bloodnet_model.run_metrics import AucRecord, CrossSite, Evaluation, RunMetrics
from server.report.answer import Shown, is_home, record_of
from server.report.participation import Attendance, attendances

_DARKEST_PERCENT: Final = 45
"""Of the matrix's colour over the page's: words on it stay readable in both schemes."""


@dataclass(frozen=True)
class TestSet:
    """One line of the table of test sets; `others` are the baselines' records, in their order."""

    name: str
    record: AucRecord
    hospitals: list[str]
    others: list[AucRecord | None]


def test_sets(metrics: RunMetrics) -> Iterator[TestSet]:
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
    """One line of the table of sites: what it trained on, how it scored, and how its rounds went, if it was in any."""

    name: str
    trained: int
    record: AucRecord | None
    reason: str
    attendance: Attendance | None
    version: str

    @property
    def median_s(self) -> float | None:
        """Of its answers; None where the run did not time them."""
        return median(self.attendance.answers_s) if self.attendance and self.attendance.answers_s else None

    @property
    def longest_s(self) -> float | None:
        return max(self.attendance.answers_s, default=None) if self.attendance else None


def site_rows(metrics: RunMetrics, shown: Shown | None) -> Iterator[SiteRow]:
    of_rounds = attendances(metrics)
    for name, site in metrics.sites.items():
        record, reason = record_of(shown.evaluation.sites.get(name)) if shown else (None, "not evaluated yet")
        trained = site.counts.get("train-studies", 0)
        yield SiteRow(name, trained, record, reason, of_rounds.get(name), site.version)


@dataclass(frozen=True)
class Cell:
    """One model on one hospital's patients; `shade_percent` is 0 for the lowest AUC of the matrix."""

    record: AucRecord | None
    home: bool
    shade_percent: int


def cross_site_rows(matrix: CrossSite) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    """The patients of the columns, and for each model its cells in their order."""
    columns = list(dict.fromkeys(patients for row in matrix.rows.values() for patients in row))
    known = [record.auc for row in matrix.rows.values() for record in row.values() if record.auc is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)

    def cell(model: str, patients: str) -> Cell:
        record = matrix.rows[model].get(patients)
        auc = record.auc if record else None
        shade = 0 if auc is None or high == low else round(_DARKEST_PERCENT * (auc - low) / (high - low))
        return Cell(record, is_home(model, patients), shade)

    return columns, [(model, [cell(model, patients) for patients in columns]) for model in matrix.rows]


def missing(metrics: RunMetrics, shown: Shown | None) -> str:
    """A sentence on what this report cannot say yet, or never will, and why; empty where nothing is missing."""
    evaluation = shown.evaluation if shown else None
    there = {
        "paired comparisons": (metrics.comparisons, "no other model was scored on the same patients"),
        "a threshold with its rates": (evaluation and evaluation.operating, "none was chosen on validation patients"),
        "calibration": (evaluation and evaluation.calibration, "nothing was fitted on validation patients"),
        "segmentation in millilitres": (evaluation and evaluation.segmentation, "no sums were given"),
        "groups such as scanners": (
            evaluation and evaluation.groups,
            "none were declared, or each is too small to be shown",
        ),
        "the AUC within a typical hospital": (evaluation and evaluation.within_hospital, "it was not computed"),
        "the cross-site matrix": (metrics.cross_site, "no hospital's own model was trained"),
    }
    absent = {what: why for what, (is_there, why) in there.items() if not is_there}
    if not absent:
        return ""
    if metrics.test is None:
        return f"Not in this report yet: {', '.join(absent)}. They can come with the test, after the last round."
    return f"Not in this report: {'; '.join(f'{what} ({why})' for what, why in absent.items())}."
