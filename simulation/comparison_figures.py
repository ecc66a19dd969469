"""Figures of ways of training against one another, drawn as the project's pages have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bloodnet_model.drawing import LINE, MUTED, POOLED, SITE, WIDTH_IN, bare, house_style, short, svg, title

_NARROWEST: Final = 0.02  # of AUC, on either side of 0


@dataclass(frozen=True)
class DifferenceRow:
    """One difference of AUCs: the interval that counts, and the one for new patients alone, where they exist."""

    name: str
    delta: float
    interval: Sequence[float] | None
    patients: Sequence[float] | None
    stressed: bool = False


def difference_plot(rows: Sequence[DifferenceRow], label: str, description: str) -> str:
    """Differences one below the other, about a line at 0; the thin line is for new patients alone."""
    with house_style("differences"):
        height_in = 0.8 + 0.42 * len(rows)
        drawing = Figure(figsize=(WIDTH_IN, height_in))
        axes = drawing.add_axes((0.27, 0.5 / height_in, 0.34, 1 - 0.8 / height_in))
        ends = [abs(end) for row in rows for pair in (row.interval, row.patients) for end in pair or ()]
        reach = max([_NARROWEST, *ends, *(abs(row.delta) for row in rows)]) * 1.08
        axes.set_xlim(-reach, reach)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        bare(axes)
        axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.2f}" if abs(value) > 1e-9 else "0")
        axes.axvline(0, color=LINE, linewidth=1)
        axes.text(1.05, -0.62, "ΔAUC (95 % CI)", transform=axes.get_yaxis_transform(), color=MUTED, fontsize=8.5)
        for y, row in enumerate(rows):
            _difference(axes, y, row)
        axes.set_xlabel(label)
        return svg(drawing, description)


def _difference(axes: Axes, y: int, row: DifferenceRow) -> None:
    colour, weight = (POOLED, "bold") if row.stressed else (SITE, "normal")
    beside = axes.get_yaxis_transform()
    axes.text(-0.04, y, short(row.name, 19), transform=beside, ha="right", va="center", fontweight=weight)
    if row.interval is not None:
        axes.plot(row.interval, [y, y], color=colour, linewidth=2.6, alpha=0.45, solid_capstyle="butt")
    if row.patients is not None:
        axes.plot(row.patients, [y, y], color=colour, linewidth=1.1, solid_capstyle="butt")
    axes.plot([row.delta], [y], marker="s", markersize=5, color=colour, clip_on=False)
    low_high = f" ({row.interval[0]:+.3f} to {row.interval[1]:+.3f})" if row.interval else " (no interval)"
    text = f"{row.delta:+.3f}{low_high}"
    axes.text(1.05, y, text, transform=beside, va="center", fontsize=7.8, fontweight=weight)


def auc_plot(aucs: Mapping[str, Sequence[float]], stressed: str, description: str) -> str:
    """AUC of each seed as a point, the mean as a line, by way of training one below the other."""
    with house_style("aucs"):
        height_in = 0.7 + 0.36 * len(aucs)
        drawing = Figure(figsize=(WIDTH_IN, height_in))
        axes = drawing.add_axes((0.26, 0.5 / height_in, 0.54, 1 - 0.6 / height_in))
        values = [value for of in aucs.values() for value in of]
        axes.set_xlim(np.floor(min(values) * 20 - 0.2) / 20, min(1.0, np.ceil(max(values) * 20 + 0.2) / 20))
        axes.set_ylim(len(aucs) - 0.5, -0.5)
        bare(axes)
        axes.grid(axis="x", color=LINE, linewidth=0.5, alpha=0.6)
        for y, (name, of) in enumerate(aucs.items()):
            colour, weight = (POOLED, "bold") if name == stressed else (SITE, "normal")
            beside = axes.get_yaxis_transform()
            axes.text(-0.04, y, short(name, 22), transform=beside, ha="right", va="center", fontweight=weight)
            axes.plot(of, [y] * len(of), "o", markersize=4, color=colour, alpha=0.55, markeredgewidth=0)
            axes.plot([np.mean(of)] * 2, [y - 0.28, y + 0.28], color=colour, linewidth=2)
            axes.text(1.04, y, f"{np.mean(of):.3f}", transform=beside, va="center", fontsize=8.5, fontweight=weight)
        axes.set_xlabel("test AUC, any hemorrhage: each seed, and their mean")
        return svg(drawing, description)


def curves_plot(curves: Mapping[str, Sequence[Sequence[tuple[int, float]]]], description: str) -> str:
    """Validation AUC by optimiser step, a panel a way of training, a line a seed; the last point is after the decay."""
    with house_style("curves"):
        rows = -(-len(curves) // 2)
        height_in = 0.45 + 1.55 * rows
        drawing = Figure(figsize=(WIDTH_IN, height_in))
        panels = drawing.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
        drawing.subplots_adjust(
            left=0.09, right=0.98, top=1 - 0.26 / height_in, bottom=0.44 / height_in, wspace=0.09, hspace=0.32
        )
        points = [point for of in curves.values() for line in of for point in line]
        for axes, (name, of) in zip(panels.flat, curves.items(), strict=False):
            for line in of:
                steps, values = zip(*line, strict=True)
                axes.plot(steps, values, color=SITE, linewidth=0.9, alpha=0.8)
                axes.plot(steps[-1:], values[-1:], "o", markersize=3, color=POOLED, clip_on=False)
            axes.grid(axis="y", color=LINE, linewidth=0.5, alpha=0.6)
            axes.set_ylim(min(0.45, *(value for _, value in points)), 1)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            title(axes, short(name, 26))
        for axes in panels.flat[len(curves) :]:
            axes.set_axis_off()
        for axes in panels[-1]:
            axes.set_xlabel("optimiser steps")
        if len(curves) % 2:
            panels[-2, 1].tick_params(labelbottom=True)
        return svg(drawing, description)
