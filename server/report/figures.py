"""The report's figures, drawn as the project's pages have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bloodnet_model.drawing import LINE, MUTED, POOLED, SITE, WIDTH_IN, bare, house_style, short, svg, title
from bloodnet_model.run_metrics import AucRecord, Round
from server.wording import figure, interval, why_undefined


@dataclass(frozen=True)
class ForestRow:
    """One site: its AUC record, or None and the words that say why there is none."""

    name: str
    record: AucRecord | None
    reason: str = ""


@dataclass(frozen=True)
class RocCurve:
    """A receiver operating characteristic: both rates (thresholds,), from 0 to 1."""

    name: str
    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]

    def point_at(self, specificity: float) -> tuple[float, float]:
        """Both rates at the threshold of highest sensitivity among those with at least this specificity."""
        place = int(np.flatnonzero(self.fpr <= 1 - specificity + 1e-12)[-1])
        return float(self.fpr[place]), float(self.tpr[place])


def forest_plot(rows: Sequence[ForestRow], pooled: AucRecord, description: str) -> str:
    """AUC with interval of each site, one below the other, and of all patients together."""
    with house_style("forest"):
        row_in = min(max(2.9 / (len(rows) + 1), 0.4), 0.6)  # few sites get air, many stay on the page
        height_in = 0.75 + row_in * (len(rows) + 1)
        drawing = Figure(figsize=(WIDTH_IN, height_in))
        axes = drawing.add_axes((0.27, 0.47 / height_in, 0.40, 1 - 0.72 / height_in))
        records = [row.record for row in rows if row.record] + [pooled]
        lows = [record.auc if record.auc_low is None else record.auc_low for record in records]
        axes.set_xlim(min([0.5, *(np.floor(low * 10) / 10 for low in lows if low is not None)]), 1)
        axes.set_ylim(len(rows) + 0.5, -0.5)
        bare(axes)
        axes.text(1.06, -0.6, "AUC (95 % CI)", transform=axes.get_yaxis_transform(), color=MUTED, fontsize=8.5)
        if pooled.auc is not None:
            axes.axvline(pooled.auc, color=POOLED, linewidth=0.8, alpha=0.45)
        for y, row in enumerate(rows):
            _forest_row(axes, y, row, SITE)
        axes.axhline(len(rows) - 0.5, color=LINE, linewidth=0.8, xmin=-0.68, xmax=1.82, clip_on=False)
        _forest_row(axes, len(rows), ForestRow("All patients", pooled), POOLED)
        axes.set_xlabel("AUC, any hemorrhage")
        return svg(drawing, description)


def partition_plot(findings: Mapping[str, Mapping[str, int]], description: str) -> str:
    """Studies by site (one below the other) and finding: circles whose areas, and the figures in them, are counts."""
    columns = list(dict.fromkeys(name for counts in findings.values() for name in counts))
    columns = [name for name in columns if any(counts.get(name) for counts in findings.values())]
    most = max((count for counts in findings.values() for count in counts.values()), default=1) or 1
    with house_style("partition"):
        height_in = 0.7 + 0.42 * len(findings)
        drawing = Figure(figsize=(WIDTH_IN, height_in))
        axes = drawing.add_axes((0.22, 0.04 / height_in, 0.66, 1 - 0.7 / height_in))
        axes.set_xlim(-0.6, len(columns) - 0.4)
        axes.set_ylim(len(findings) - 0.5, -0.5)
        axes.set_xticks([])
        bare(axes)
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks(range(len(columns)), columns, rotation=28, ha="left", rotation_mode="anchor")
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for y, (name, counts) in enumerate(findings.items()):
            axes.text(-0.02, y, short(name, 15), transform=axes.get_yaxis_transform(), ha="right", va="center")
            for x, column in enumerate(columns):
                count = counts.get(column, 0)
                axes.scatter(x, y, s=620 * count / most, color=SITE, alpha=0.3, linewidths=0)
                axes.text(x, y, f"{count:,}" if count else "–", ha="center", va="center", fontsize=7.5)
        return svg(drawing, description)


def _forest_row(axes: Axes, y: int, row: ForestRow, colour: str) -> None:
    beside, record = axes.get_yaxis_transform(), row.record
    weight = "bold" if colour == POOLED else "normal"
    axes.text(-0.68, y - 0.05, short(row.name, 17), transform=beside, va="bottom", fontweight=weight)
    if record is not None:
        counts = f"{record.studies:,} studies, {record.positives:,} pos."
        axes.text(-0.68, y + 0.05, counts, transform=beside, va="top", color=MUTED, fontsize=7)
    if record is None or record.auc is None:
        reason = short(row.reason if record is None else why_undefined(record), 66)
        text = "\n".join(wrap(reason, 22))
        axes.text(1.06, y, text, transform=beside, va="center", color=MUTED, fontsize=7.5, fontstyle="italic")
        return
    if record.auc_low is not None and record.auc_high is not None:
        axes.plot([record.auc_low, record.auc_high], [y, y], color=colour, linewidth=1.6)
    marker, size = ("D", 6.5) if colour == POOLED else ("s", 5)
    axes.plot([record.auc], [y], marker=marker, markersize=size, color=colour, clip_on=False, zorder=3)
    text = f"{figure(record.auc)} ({interval(record) or 'no interval'})"
    axes.text(1.06, y, text, transform=beside, va="center", fontsize=8.5, fontweight=weight)


def roc_plot(curves: Sequence[RocCurve], description: str) -> str:
    """ROC curves, the first one the federation's; where specificity is at least 90 % is shaded."""
    with house_style("roc"):
        drawing = Figure(figsize=(WIDTH_IN, 3.9))
        axes = drawing.add_axes((0.13, 0.13, 0.84, 0.83))
        axes.set_xlim(-0.01, 1)
        axes.set_ylim(0, 1.02)
        axes.axvspan(0, 0.1, color=POOLED, alpha=0.09, linewidth=0)
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=0.8)
        axes.text(0.72, 0.66, "chance", color=MUTED, fontsize=8)
        axes.text(0.115, 0.03, "shaded: specificity of 90 % or more", color=MUTED, fontsize=8)
        for place, curve in reversed(list(enumerate(curves))):
            colour, width, weight = (SITE, 1.1, "normal") if place else (POOLED, 2.0, "bold")
            axes.plot(curve.fpr, curve.tpr, color=colour, linewidth=width, solid_joinstyle="round")
            axes.text(0.97, 0.30 - 0.075 * place, curve.name, ha="right", color=colour, fontweight=weight)
        _operating_point(axes, *curves[0].point_at(0.9))
        axes.set_xlabel("false positive rate (1 − specificity)")
        axes.set_ylabel("sensitivity")
        return svg(drawing, description)


def _operating_point(axes: Axes, fpr: float, tpr: float) -> None:
    """The most sensitive threshold within the shaded region, said in words beside the region."""
    axes.plot([fpr], [tpr], marker="o", markersize=6, color=POOLED, clip_on=False)
    text = f"sensitivity {figure(tpr)} at\n{figure(1 - fpr)} specificity"
    if tpr > 0.25:  # beneath the curve, where there is room
        axes.text(0.125, tpr - 0.04, text, va="top", fontsize=8.5)
    else:
        axes.text(0.125, 0.08, text, va="bottom", fontsize=8.5)


def learning_curve(rounds: Sequence[Round], total: int, description: str) -> str:
    """Pooled validation AUC with its interval after each round, and below it the mean Dice where there is one."""
    with house_style("learning"):
        dice = [np.nan if entry.dice is None else entry.dice for entry in rounds]
        with_dice = not np.isnan(dice).all()
        drawing = Figure(figsize=(WIDTH_IN, 3.9))
        top = drawing.add_axes((0.13, 0.45 if with_dice else 0.13, 0.78, 0.46 if with_dice else 0.78))
        records = [entry.validation.any_hemorrhage for entry in rounds]
        numbers = [entry.round for entry in rounds]
        lows = [record.auc_low for record in records if record.auc_low is not None]
        lowest = min([0.5, *(np.floor(low * 10) / 10 for low in lows)])
        top.set_ylim(lowest, 1)
        for number, record in zip(numbers, records, strict=True):
            if record.auc_low is not None and record.auc_high is not None:
                top.plot([number, number], [record.auc_low, record.auc_high], color=POOLED, linewidth=4, alpha=0.22)
        _series(top, numbers, [np.nan if record.auc is None else record.auc for record in records], POOLED)
        title(top, "Validation AUC, pooled, with 95 % interval")
        panels = [top]
        if with_dice:
            bottom = drawing.add_axes((0.13, 0.13, 0.78, 0.20))
            bottom.set_ylim(0, 1)
            _series(bottom, numbers, dice, SITE)
            title(bottom, "Dice of the segmentation, validation")
            top.tick_params(labelbottom=False)
            panels.append(bottom)
        for axes in panels:
            axes.set_xlim(0.5, max(total, 2) + 0.5)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panels[-1].set_xlabel("round")
        return svg(drawing, description)


def _series(axes: Axes, numbers: Sequence[int], values: Sequence[float], colour: str) -> None:
    """A line with points, its last value written beside it."""
    axes.grid(axis="y", color=LINE, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    axes.plot(numbers, values, color=colour, linewidth=1.6, marker="o", markersize=3.5)
    known = [(number, value) for number, value in zip(numbers, values, strict=True) if not np.isnan(value)]
    if known:
        axes.annotate(
            figure(known[-1][1]),
            known[-1],
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight="bold",
        )
