"""Runs as Markdown tables, to paste into a note or an issue."""

from collections.abc import Mapping, Sequence
from statistics import median

from bloodnet_model.run_metrics import AucRecord, RunMetrics
from server.report.answer import answers, headline, record_of, shown_of
from server.report.participation import attendances
from server.report.runs import run_lines, warnings
from server.report.runs_page import NO_TEST
from server.wording import duration, figure, interval, why_undefined


def as_markdown(runs: Mapping[str, RunMetrics]) -> str:
    """One run: its answers, its hospitals, and who took part. Several: a line each, and what that does not say."""
    if len(runs) == 1:
        return "\n".join(_one(*next(iter(runs.items())))) + "\n"
    return "\n".join(_several(runs)) + "\n"


def _one(name: str, metrics: RunMetrics) -> list[str]:
    shown = shown_of(metrics)
    lines = [
        f"## {_plain(str(headline(metrics, shown)))}",
        "",
        f"Run {_plain(name)}, {_plain(metrics.run.strategy)}.",
        "",
    ]
    lines += [f"- **{_plain(answer.asked)}:** {_plain(answer.said)}" for answer in answers(metrics, shown)]
    if shown is None:
        return lines
    rows = []
    for site, scores in shown.evaluation.sites.items():
        record, reason = record_of(scores)
        rows.append([site, reason, "", ""] if record is None else _row(site, record))
    rows.append(_row("all patients", shown.record))
    lines += ["", *_table(["hospital", f"{shown.split} AUC (95 % CI)", "studies", "positive"], rows)]
    return [*lines, "", *_table(["hospital", "updates that counted", "lost", "usual answer"], _took_part(metrics))]


def _took_part(metrics: RunMetrics) -> list[list[str]]:
    return [
        [site, one.took_part, one.why_lost or "–", duration(median(one.answers_s)) if one.answers_s else "–"]
        for site, one in attendances(metrics).items()
    ]


def _several(runs: Mapping[str, RunMetrics]) -> list[str]:
    lines = run_lines(runs)
    rows = []
    for line in lines:
        record, rates = line.record, line.operating.pooled if line.operating else None
        found = rates.sensitivity.value if rates else None
        rows.append(
            [
                line.name,
                line.metrics.run.strategy,
                f"{len(line.metrics.rounds)} of {line.metrics.run.rounds}",
                _auc(record) if record else "–",
                "–" if record is None or record.auprc is None else figure(record.auprc, 3),
                "–" if found is None else figure(found),
                "–" if line.expected_error is None else figure(line.expected_error, 3),
                f"{line.seconds:,.0f}",
            ]
        )
    head = ["run", "strategy", "rounds", "AUC (95 % CI)", "AUPRC", "sensitivity", "calibration error", "seconds"]
    return [*_table(head, rows), "", *warnings(lines), NO_TEST]


def _auc(record: AucRecord) -> str:
    if record.auc is None:
        return f"undefined: {why_undefined(record)}"
    return f"{figure(record.auc, 3)} ({interval(record, 3) or 'no interval'})"


def _row(name: str, record: AucRecord) -> list[str]:
    return [name, _auc(record), f"{record.studies:,}", f"{record.positives:,}"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(map(_plain, row))} |" for row in rows),
    ]


def _plain(text: str) -> str:
    """What a site calls itself stays text: no cell ends early, no tag begins."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
