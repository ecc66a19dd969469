"""What scores mean to a patient: who is flagged, and whether a score is a probability."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bloodnet_model.drawing import CARD, INK, LINE, MUTED, POOLED, SITE, WIDTH_IN, bare
from bloodnet_model.operating_point import Share
from bloodnet_model.run_metrics import RatesRecord, ReliabilityBin
from server.wording import per_hundred


def flagged_plot(rates: RatesRecord) -> Figure:
    """Of 100 patients with hemorrhage and of 100 without: how many are flagged; dark is flagged, pale is not."""
    drawing = Figure(figsize=(WIDTH_IN, 1.75))
    axes = drawing.add_axes((0.02, 0.04, 0.96, 0.92))
    axes.set_xlim(0, 1)
    axes.set_ylim(2, 0)
    bare(axes)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    _bar(axes, 0, "Of 100 patients with hemorrhage", rates.sensitivity.value, "flagged", "missed", flagged_first=True)
    _bar(
        axes,
        1,
        "Of 100 patients without",
        rates.specificity.value,
        "rightly left alone",
        "flagged",
        flagged_first=False,
    )
    return drawing


def _bar(axes: Axes, y: int, who: str, right: float | None, well: str, ill: str, flagged_first: bool) -> None:
    axes.text(0, y + 0.28, who, fontsize=8.5, color=MUTED)
    if right is None:
        axes.text(0, y + 0.62, "nobody is known to be one", fontsize=8.5, fontstyle="italic", color=MUTED)
        return
    dark, pale = {"color": POOLED}, {"color": SITE, "alpha": 0.28}
    first, second = (dark, pale) if flagged_first else (pale, dark)
    axes.barh(y + 0.62, right, height=0.48, left=0, linewidth=0, **first)
    axes.barh(y + 0.62, 1 - right, height=0.48, left=right, linewidth=0, **second)
    _inside(axes, 0, right, y, f"{per_hundred(right)} {well}", CARD if flagged_first else INK)
    _inside(axes, right, 1, y, f"{per_hundred(1 - right)} {ill}", INK if flagged_first else CARD)


def _inside(axes: Axes, low: float, high: float, y: int, text: str, colour: str) -> None:
    """The words in the bar's part, or, where that is too narrow, above its end."""
    if high - low > 0.021 * len(text):
        axes.text((low + high) / 2, y + 0.63, text, ha="center", va="center", fontsize=9, color=colour)
    else:
        left = low == 0
        axes.text(0.45 if left else 1, y + 0.28, text, ha="left" if left else "right", fontsize=8.5, color=INK)


def reliability_plot(as_scored: Sequence[ReliabilityBin], recalibrated: Sequence[ReliabilityBin]) -> Figure:
    """Share that bled by mean score of each bin, with Wilson's intervals; below, how many studies had such scores."""
    drawing = Figure(figsize=(WIDTH_IN, 4.3))
    axes = drawing.add_axes((0.13, 0.31, 0.84, 0.66))
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(0, 1.02)
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=1)
    axes.text(0.03, 0.95, "above the line: scores too low", color=MUTED, fontsize=8)
    axes.text(0.98, 0.03, "grey line: score = share\nbelow it: scores too high", color=MUTED, fontsize=8, ha="right")
    filled = [entry for entry in as_scored if entry.studies]
    again = [entry for entry in recalibrated if entry.studies]
    _bins(axes, filled, SITE, "o", SITE, "-", intervals=True)
    if again:
        _bins(axes, again, POOLED, "D", CARD, "--", intervals=False)
    for place, (name, colour, marker, filling) in enumerate(
        [("as scored", SITE, "o", SITE), ("recalibrated", POOLED, "D", CARD)][: 1 + bool(again)]
    ):
        axes.plot([0.05], [0.87 - 0.07 * place], marker, color=colour, markerfacecolor=filling, markersize=5)
        axes.text(0.08, 0.87 - 0.07 * place, name, va="center", color=colour)
    axes.set_ylabel("share of studies with hemorrhage")
    axes.tick_params(labelbottom=False)
    below = drawing.add_axes((0.13, 0.11, 0.84, 0.14))
    below.set_xlim(-0.01, 1.01)
    lows, highs = (np.array([getattr(entry, end) for entry in filled]) for end in ("low", "high"))
    counts = [entry.studies for entry in filled]
    below.bar(lows, counts, width=0.94 * (highs - lows), align="edge", color=SITE, alpha=0.5, linewidth=0)
    below.set_yticks([0, max(counts, default=1)])
    below.set_ylabel("studies")
    below.set_xlabel("score, mean of the bin")
    return drawing


def _bins(
    axes: Axes, bins: Sequence[ReliabilityBin], colour: str, marker: str, filling: str, line: str, intervals: bool
) -> None:
    scores = [entry.mean_score for entry in bins]
    shares = [entry.positives / entry.studies for entry in bins]
    if intervals and bins:
        lows, highs = zip(*(Share(entry.positives, entry.studies).interval() for entry in bins), strict=True)
        axes.vlines(scores, lows, highs, color=colour, linewidth=1.1, alpha=0.6)
    axes.plot(scores, shares, color=colour, linewidth=1.0, linestyle=line)
    axes.plot(scores, shares, marker, color=colour, markerfacecolor=filling, markersize=5, clip_on=False)


def volume_plot(mean_ml: float, low_ml: float, high_ml: float) -> Figure:
    """Mean difference of volumes and the limits of agreement, about a line at no difference."""
    drawing = Figure(figsize=(WIDTH_IN, 1.15))
    axes = drawing.add_axes((0.05, 0.40, 0.90, 0.38))
    reach = 1.15 * max(abs(low_ml), abs(high_ml), 0.1)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-1, 1)
    bare(axes)
    axes.axvline(0, color=MUTED, linewidth=0.9)
    axes.hlines([0], [low_ml], [high_ml], color=SITE, linewidth=5, alpha=0.35)
    axes.plot([mean_ml], [0], "D", color=SITE, markersize=6)
    for value in (low_ml, high_ml):
        axes.text(value, 0.55, f"{value:+.1f}".replace("-", "−"), ha="center", va="bottom", fontsize=8.5)
    axes.text(
        mean_ml, 0.55, f"{mean_ml:+.1f}".replace("-", "−"), ha="center", va="bottom", fontsize=8.5, fontweight="bold"
    )
    axes.set_xlabel("outlined minus drawn blood, ml")
    return drawing
