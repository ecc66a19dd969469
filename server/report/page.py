"""The report's page of one run."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from bloodnet_model.labels import CLASSES
from bloodnet_model.page import render_page
from bloodnet_model.run_metrics import RunMetrics
from server.data_use import ledger_rows, ledger_totals
from server.report import readings
from server.report.answer import ANY, answers, headline, shown_of, verdict
from server.report.model_choice import chosen_round
from server.report.plots import plots_of
from server.report.rows import cross_site_rows, missing, site_rows, test_sets
from server.report.style import STYLE
from server.report.template import BODY
from server.wording import (
    figure,
    in_words,
    interval,
    per_hundred,
    precision_with_interval,
    refusal,
    signed,
    signed_span,
)

FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "figure": figure,
    "in_words": in_words,
    "interval": interval,
    "per_hundred": per_hundred,
    "precision": precision_with_interval,
    "refusal": refusal,
    "signed": signed,
    "signed_span": signed_span,
    "thousands": "{:,}".format,
    "verdict": verdict,
}


def report_html(metrics: RunMetrics, settings: str) -> str:
    """The report as HTML; equal arguments give equal text. Whatever comes from a site is escaped."""
    shown = shown_of(metrics)
    evaluation = shown.evaluation if shown else None
    calibration = evaluation.calibration if evaluation else None
    return render_page(
        BODY,
        FILTERS,
        STYLE,
        metrics=metrics,
        settings=settings,
        shown=shown,
        headline=headline(metrics, shown),
        answers=answers(metrics, shown),
        contents=list(_contents(metrics, bool(evaluation and evaluation.segmentation))),
        chosen=chosen_round(metrics),
        plots=plots_of(metrics, shown),
        classes=[(name, "any hemorrhage" if name == ANY else name) for name in CLASSES],
        tests=list(test_sets(metrics)),
        site_rows=list(site_rows(metrics, shown)),
        site_versions=_site_versions(metrics),
        cross_site=cross_site_rows(metrics.cross_site) if metrics.cross_site else None,
        cross_site_reading=readings.cross_site(metrics.cross_site) if metrics.cross_site else "",
        temperature=readings.temperature(calibration) if calibration else "",
        ledger=list(ledger_rows(metrics)),
        totals=ledger_totals(metrics),
        missing=missing(metrics, shown),
    )


def _contents(metrics: RunMetrics, with_masks: bool) -> Iterator[tuple[str, str]]:
    """Anchor and name of each section that is there."""
    if metrics.comparisons or metrics.baselines:
        yield "worth", "Was it worth it?"
    yield "separation", "Separation"
    yield "hospitals", "Hospitals"
    yield "threshold", "Threshold"
    yield "calibration", "Probability"
    if with_masks:
        yield "segmentation", "Outlines"
    yield "training", "Training"
    yield "data", "Data"
    yield "method", "Method and settings"


def _site_versions(metrics: RunMetrics) -> list[tuple[str, list[str]]]:
    """Hospitals by the version of their software, where they told it."""
    by_version: dict[str, list[str]] = {}
    for name, site in metrics.sites.items():
        if site.version:
            by_version.setdefault(site.version, []).append(name)
    return sorted(by_version.items())
