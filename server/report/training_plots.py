"""Figures of the training: how it went, who took part, how long each site took, and how far it moved the weights."""

from collections.abc import Iterator, Mapping
from functools import partial
from statistics import median
from typing import Final

from bloodnet_model.run_metrics import RunMetrics
from server.report import participation, readings
from server.report.figures.participation import attendance_plot, span_plot
from server.report.figures.training import learning_plot
from server.report.model_choice import chosen_round, deadline_sentences, planned_rounds
from server.report.participation import Attendance, attendances, timed_by_coordinator
from server.report.plot import Plot
from server.wording import duration

_SPAN: Final = "A line spans a hospital's rounds; the dot and the figure are its median."
_NEAR: Final = 3
"""A deadline is drawn where it lies within as many times the longest answer; else it would press all others flat."""


def training_plots(metrics: RunMetrics) -> Iterator[Plot]:
    """How learning went, who took part, how long each site took, and how far it moved the weights."""
    chosen = chosen_round(metrics)
    reading = readings.learning(metrics.rounds, metrics.run.rounds)
    make = partial(learning_plot, metrics.rounds, planned_rounds(metrics), chosen)
    yield Plot("learning", "Learning, round by round", reading, make)
    of_sites = attendances(metrics)
    if not of_sites:
        return
    yield Plot(
        "attendance",
        "Who took part in which round",
        participation.attendance_reading(metrics.rounds, list(of_sites.values())),
        partial(
            attendance_plot, metrics.rounds, {name: f"{one.counted} of {one.asked}" for name, one in of_sites.items()}
        ),
        "Beside each hospital: updates that counted, of those asked for. The tables say why others did not.",
    )
    if any(one.answers_s for one in of_sites.values()):
        yield _answers(metrics, of_sites)
    if any(one.strides for one in of_sites.values()):
        strides = {name: one.strides for name, one in of_sites.items()}
        texts = {name: f"× {median(of):.2f}" if of else "–" for name, of in strides.items()}
        make = partial(
            span_plot, strides, texts, "norm of the update over the round's middle one", {"as far as the middle": 1.0}
        )
        yield Plot(
            "strides",
            "How far every hospital moved the weights",
            participation.strides_reading(list(of_sites.values())),
            make,
            _SPAN,
        )


def _answers(metrics: RunMetrics, of_sites: Mapping[str, Attendance]) -> Plot:
    seconds = {name: one.answers_s for name, one in of_sites.items()}
    texts = {name: duration(median(of)) if of else "–" for name, of in seconds.items()}
    longest = max(max(of) for of in seconds.values() if of)
    deadline_s = metrics.run.deadline_s
    near = {"deadline": deadline_s} if deadline_s is not None and deadline_s <= _NEAR * longest else {}
    by_clock = timed_by_coordinator(metrics.rounds)
    return Plot(
        "answers",
        "How long every hospital took",
        participation.answers_reading(metrics.rounds, list(of_sites.values())),
        partial(
            span_plot, seconds, texts, "seconds from question to answer" if by_clock else "seconds of training", near
        ),
        f"{_SPAN} {deadline_sentences(metrics)}".strip(),
    )
