"""How well scores separate: receiver operating characteristic and precision-recall."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bloodnet_model.drawing import CARD, LINE, MUTED, POOLED, SITE, WIDTH_IN, short

_LINES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""The first is the run's own, drawn stronger; each has its own dashes, so that colour is never needed."""


@dataclass(frozen=True)
class Curve:
    """One model's curve: x and y (thresholds,), each in [0, 1]."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """A threshold on the first curve: the letter beside its ring, and what that stands for."""

    letter: str
    name: str
    x: float
    y: float


def roc_plot(curves: Sequence[Curve], points: Sequence[Point]) -> Figure:
    """Sensitivity by false positive rate; where specificity is at least 90 % is shaded."""
    drawing, axes = _square("false positive rate (1 − specificity)", "sensitivity")
    axes.axvspan(0, 0.1, color=SITE, alpha=0.10, linewidth=0)
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=0.9)
    axes.text(0.13, 0.085, "chance", color=MUTED, fontsize=8, rotation=41, rotation_mode="anchor")
    axes.text(0.985, 0.03, "shaded: specificity of 90 % or more", color=MUTED, fontsize=8, ha="right")
    _draw(axes, curves, points, top=0.12 + 0.07 * (len(curves) + len(points)), left=0.5, falling=False)
    return drawing


def precision_recall_plot(curves: Sequence[Curve], points: Sequence[Point], prevalence: float) -> Figure:
    """Precision by sensitivity; the thin line is the prevalence, which flagging everybody would give."""
    drawing, axes = _square("sensitivity (recall)", "precision: share of the flagged that bleed")
    axes.axhline(prevalence, color=MUTED, linewidth=0.9)
    lines_high = 0.07 * (len(curves) + len(points))
    below = prevalence > 0.1 + lines_high
    axes.text(
        0.01, prevalence + (-0.015 if below else 0.015), "prevalence: if everybody were flagged",
        color=MUTED, fontsize=8, va="top" if below else "bottom",
    )  # fmt: skip
    # The names stand on the left, beneath all curves, on the side of the prevalence line that has room.
    top = lines_high - 0.02 if below else prevalence + 0.05 + lines_high
    _draw(axes, curves, points, top=top, left=0.03, falling=True)
    return drawing


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    drawing = Figure(figsize=(WIDTH_IN, 3.9))
    axes = drawing.add_axes((0.13, 0.13, 0.84, 0.83))
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return drawing, axes


def _draw(axes: Axes, curves: Sequence[Curve], points: Sequence[Point], top: float, left: float, falling: bool) -> None:
    """The curves, their names from `top` downwards, and the points with theirs, on the side away from the corner."""
    steps: Literal["steps-pre", "default"] = "steps-pre" if falling else "default"
    beside = (-13, -12) if falling else (6, -9)
    for place, curve in reversed(list(enumerate(curves))):
        line = _LINES[place % len(_LINES)]
        colour, width, weight = (SITE, 1.3, "normal") if place else (POOLED, 2.2, "bold")
        axes.plot(curve.x, curve.y, color=colour, linewidth=width, linestyle=line, drawstyle=steps)
        height = top - 0.07 * place
        axes.plot([left, left + 0.09], [height, height], color=colour, linewidth=width, linestyle=line)
        axes.text(left + 0.11, height, short(curve.name, 26), color=colour, fontweight=weight, va="center")
    for place, point in enumerate(points):
        height = top - 0.07 * (len(curves) + place)
        axes.plot([point.x], [point.y], "o", color=POOLED, markersize=7, markerfacecolor=CARD, clip_on=False)
        axes.annotate(point.letter, (point.x, point.y), xytext=beside, textcoords="offset points", fontsize=8.5)
        axes.plot([left + 0.045], [height], "o", color=POOLED, markersize=7, markerfacecolor=CARD)
        axes.text(left + 0.11, height, f"{point.letter}  {point.name}", va="center", fontsize=8.5)
