"""How the training went, round by round."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bloodnet_model.drawing import INK, LINE, MUTED, POOLED, SITE, WIDTH_IN, short, title
from bloodnet_model.run_metrics import Round
from server.wording import figure

_FEW: Final = 30
"""Rounds up to which each has its own point on a curve."""


def learning_plot(rounds: Sequence[Round], total: int, chosen: int | None = None) -> Figure:
    """Pooled validation AUC with its interval, the mean Dice where there is one, and the loss of the local steps.

    chosen: the round whose model the run ends with, where that is not the last
    """
    records = [entry.validation.any_hemorrhage for entry in rounds]
    numbers = [entry.round for entry in rounds]
    dice, loss = _known([entry.dice for entry in rounds]), _known([entry.train_loss for entry in rounds])
    below = [what for what in ("dice", "loss") if np.isfinite(dice if what == "dice" else loss).any()]
    height_in = 2.9 + 1.15 * len(below)
    drawing = Figure(figsize=(WIDTH_IN, height_in))
    foot = 0.46 / height_in
    top = drawing.add_axes((0.11, foot + 1.15 * len(below) / height_in, 0.79, 2.15 / height_in))
    spans = [
        (number, record.auc_low, record.auc_high)
        for number, record in zip(numbers, records, strict=True)
        if record.auc_low is not None and record.auc_high is not None
    ]
    if spans:
        of_rounds, bottoms, tops = zip(*spans, strict=True)
        top.vlines(of_rounds, bottoms, tops, color=POOLED, linewidth=_bar_width(total), alpha=0.22)
    top.set_ylim(min([0.5, *(np.floor(low * 10) / 10 for _, low, _ in spans)]), 1)
    _series(top, numbers, _known([record.auc for record in records]), POOLED)
    title(top, "Validation AUC, pooled, with 95 % interval")
    panels = [top]
    for place, what in enumerate(reversed(below)):
        axes = drawing.add_axes((0.11, foot + 1.15 * place / height_in, 0.79, 0.72 / height_in))
        if what == "dice":
            axes.set_ylim(0, 1)
            _series(axes, numbers, dice, SITE)
            title(axes, "Dice of the segmentation, validation")
        else:
            axes.set_ylim(0, 1.12 * float(np.nanmax(loss)) or 1)
            _series(axes, numbers, loss, MUTED)
            title(axes, "Training loss, mean of the local steps")
        axes.yaxis.set_major_locator(MaxNLocator(3))
        panels.append(axes)
    for axes in panels:
        if chosen is not None:
            axes.axvline(chosen, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        axes.set_xlim(0.5, max(total, 2) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.tick_params(labelbottom=False)
    if chosen is not None:
        side = "right" if chosen > 0.6 * total else "left"
        top.annotate(
            f"chosen: round {chosen}", (chosen, 0.03), xycoords=("data", "axes fraction"),
            xytext=(-4 if side == "right" else 4, 0), textcoords="offset points", ha=side, fontsize=8,
        )  # fmt: skip
    last = panels[1] if below else top
    last.tick_params(labelbottom=True)
    last.set_xlabel("round")
    return drawing


def runs_plot(runs: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """Validation AUC by round of several runs, each with dashes of its own and its name at its end."""
    drawing = Figure(figsize=(WIDTH_IN, 3.4))
    axes = drawing.add_axes((0.11, 0.14, 0.62, 0.80))
    axes.grid(axis="y", color=LINE, linewidth=0.5, alpha=0.7)
    lines = ("-", "--", "-.", ":")
    ends: list[float] = []
    for place, (name, points) in sorted(enumerate(runs.items()), key=lambda item: item[1][1][-1][1]):
        rounds, values = zip(*points, strict=True)
        colour = (POOLED, SITE, INK, MUTED)[place % 4]
        axes.plot(rounds, values, color=colour, linestyle=lines[(place + place // 4) % 4], linewidth=1.6)
        height = max([values[-1], *(end + 0.028 for end in ends[-1:])])
        ends.append(height)
        axes.annotate(
            f"{short(name, 16)} {figure(values[-1])}", (1.02, height), xycoords=("axes fraction", "data"),
            va="center", fontsize=8, color=colour,
        )  # fmt: skip
    lowest = min(value for points in runs.values() for _, value in points)
    axes.set_ylim(min(0.5, np.floor(lowest * 10) / 10), 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("round")
    title(axes, "Validation AUC, pooled")
    return drawing


def _known(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _bar_width(total: int) -> float:
    return min(4.0, 160 / max(total, 1))


def _series(axes: Axes, numbers: Sequence[int], values: np.ndarray, colour: str) -> None:
    """A line, with points where there are few, its last value written beside it."""
    axes.grid(axis="y", color=LINE, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    few = len(numbers) <= _FEW
    axes.plot(numbers, values, color=colour, linewidth=1.6, marker="o" if few else "", markersize=3.5)
    known = np.flatnonzero(np.isfinite(values))
    if known.size:
        last = known[-1]
        axes.annotate(
            figure(float(values[last])), (numbers[last], values[last]), xytext=(7, 0), textcoords="offset points",
            va="center", color=colour, fontweight="bold",
        )  # fmt: skip
