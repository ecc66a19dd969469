"""Estimates with their intervals, one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bloodnet_model.drawing import CARD, LINE, MUTED, POOLED, SITE, WIDTH_IN, bare, short

Kind = Literal["one", "all", "other"]
_MARKS: Final = {"one": ("s", 5.0, SITE, SITE), "all": ("D", 6.5, POOLED, POOLED), "other": ("o", 6.0, SITE, CARD)}
"""Marker, its size, colour and filling; so that no row is told by colour alone."""

_LONGEST: Final = 19


@dataclass(frozen=True)
class Row:
    """One estimate; without `value`, `text` says why there is none.

    below: in small letters under the name
    kind:  `all` is the row that counts, `other` another quantity than its neighbours
    ruled: a line stands above it
    """

    name: str
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    below: str = ""
    kind: Kind = "one"
    ruled: bool = False


def auc_forest(rows: Sequence[Row], pooled: float | None, label: str = "AUC, any hemorrhage") -> Figure:
    """AUCs; the vertical line is that of all patients."""
    drawing, axes = _canvas(rows, "AUC (95 % CI)", label)
    lows = [row.value if row.low is None else row.low for row in rows if row.value is not None]
    axes.set_xlim(min([0.8 if lows else 0.5, *(np.floor((low or 0) * 10) / 10 for low in lows)]), 1)
    if pooled is not None:
        axes.axvline(pooled, color=POOLED, linewidth=0.8, alpha=0.45)
    _draw(axes, rows)
    return drawing


def difference_forest(rows: Sequence[Row], margin: float | None, label: str) -> Figure:
    """Differences about a line at 0; a dashed line where the non-inferiority margin ends."""
    drawing, axes = _canvas(rows, "difference (95 % CI)", label)
    ends = [abs(end) for row in rows for end in (row.value, row.low, row.high) if end is not None]
    reach = max([0.02, *ends, 1.3 * (margin or 0)]) * 1.08
    axes.set_xlim(-reach, reach)
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.2f}".replace("-", "−") if abs(value) > 1e-9 else "0")
    axes.axvline(0, color=MUTED, linewidth=0.9)
    if margin:
        axes.axvline(-margin, color=POOLED, linewidth=0.9, dashes=(4, 3))
        axes.text(-margin, -0.62, "margin ", color=POOLED, fontsize=8, ha="right")
    _draw(axes, rows)
    return drawing


def _canvas(rows: Sequence[Row], head: str, label: str) -> tuple[Figure, Axes]:
    least, most = (0.4, 0.56) if any(row.below for row in rows) else (0.3, 0.42)
    row_in = min(max(2.9 / len(rows), least), most)  # few rows get air, many stay on the page
    height_in = 0.78 + row_in * len(rows)
    drawing = Figure(figsize=(WIDTH_IN, height_in))
    axes = drawing.add_axes((0.275, 0.46 / height_in, 0.365, 1 - 0.76 / height_in))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    bare(axes)
    axes.set_xlabel(label)
    axes.text(1.08, -0.62, head, transform=axes.get_yaxis_transform(), color=MUTED, fontsize=8.5)
    return drawing, axes


def _draw(axes: Axes, rows: Sequence[Row]) -> None:
    for y, row in enumerate(rows):
        if row.ruled:
            axes.axhline(y - 0.5, color=LINE, linewidth=0.8, xmin=-0.75, xmax=1.98, clip_on=False)
        _labels(axes, y, row)
    for kind, (marker, size, colour, filling) in _MARKS.items():
        of_kind = [(y, row) for y, row in enumerate(rows) if row.kind == kind and row.value is not None]
        spans = [(y, row.low, row.high) for y, row in of_kind if row.low is not None and row.high is not None]
        if spans:
            heights, lows, highs = zip(*spans, strict=True)
            axes.hlines(heights, lows, highs, color=colour, linewidth=1.6)
        values = [row.value for _, row in of_kind if row.value is not None]
        heights_of = [y for y, _ in of_kind]
        points = axes.plot(values, heights_of, marker, color=colour, markersize=size, markerfacecolor=filling)
        points[0].set(clip_on=False, zorder=3)


def _labels(axes: Axes, y: int, row: Row) -> None:
    beside, weight = axes.get_yaxis_transform(), "bold" if row.kind == "all" else "normal"
    name, size = _fitted(row.name), 9.0 if len(row.name) <= 16 else 8.0
    if row.below:
        axes.text(-0.75, y - 0.04, name, transform=beside, va="bottom", fontweight=weight, fontsize=size)
        axes.text(-0.75, y + 0.05, row.below, transform=beside, va="top", color=MUTED, fontsize=7.5)
    else:
        axes.text(-0.75, y, name, transform=beside, va="center", fontweight=weight, fontsize=size)
    if row.value is None:
        text = "\n".join(wrap(short(row.text, 66), 24))
        axes.text(1.08, y, text, transform=beside, va="center", color=MUTED, fontsize=7.5, fontstyle="italic")
    else:
        long = len(row.text) > 18  # a difference, with its signs
        weight = "normal" if long else weight
        axes.text(1.08, y, row.text, transform=beside, va="center", fontsize=7.6 if long else 8.5, fontweight=weight)


def _fitted(name: str) -> str:
    """Long names lose their middle: of scanners and hospitals, beginning and end tell which it is."""
    printable = short(name, len(name))
    return printable if len(printable) <= _LONGEST else f"{printable[:9]}…{printable[-9:]}"
