"""The experiment's figure: AUC by strategy and number of poisoners."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from bloodnet_model.drawing import LINE, MUTED, POOLED, SITE, WIDTH_IN, bare, house_style, png, short, svg_file

_ROW_IN: Final = 0.21
_BETWEEN: Final = 0.6  # of a row, between strategies


def figure_svg(found: Mapping[str, Any]) -> str:
    """Equal results give equal bytes, here and in `figure_png`."""
    with house_style("poisoners"):
        return svg_file(_drawn(found), "Test AUC by strategy and number of poisoners; see the table.")


def figure_png(found: Mapping[str, Any]) -> bytes:
    with house_style("poisoners"):
        return png(_drawn(found))


def _drawn(found: Mapping[str, Any]) -> Figure:
    """Of every strategy a row for each number of poisoners: mean and interval as a bar, each seed as a point."""
    strategies = list(dict.fromkeys(arm["strategy"] for arm in found["arms"]))
    counts = sorted({arm["poisoners"] for arm in found["arms"]})
    of_one = len(counts) + _BETWEEN
    height_in = 0.85 + _ROW_IN * of_one * len(strategies)
    drawing = Figure(figsize=(WIDTH_IN, height_in))
    axes = drawing.add_axes((0.32, 0.5 / height_in, 0.56, 1 - 0.8 / height_in))
    axes.set_ylim(of_one * len(strategies) - _BETWEEN, -1)
    bare(axes)
    axes.axvline(0.5, color=LINE, linewidth=1)
    beside = axes.get_yaxis_transform()
    axes.text(-0.02, -1, "poisoners", transform=beside, ha="right", va="center", color=MUTED, fontsize=8)
    for arm in found["arms"]:
        y = of_one * strategies.index(arm["strategy"]) + counts.index(arm["poisoners"])
        colour = SITE if arm["poisoners"] else POOLED
        axes.text(-0.06, y, str(arm["poisoners"]), transform=beside, ha="right", va="center", fontsize=8)
        if arm["poisoners"] == counts[0]:
            axes.text(-0.22, y, short(arm["strategy"], 14), transform=beside, ha="right", va="center")
        if arm["auc"]["interval"]:
            axes.plot(arm["auc"]["interval"], [y, y], color=colour, linewidth=2.4, alpha=0.4, solid_capstyle="butt")
        axes.plot(arm["auc"]["by_seed"], [y] * len(arm["auc"]["by_seed"]), "o", markersize=3, color=colour, alpha=0.5)
        if arm["auc"]["mean"] is not None:
            axes.plot([arm["auc"]["mean"]] * 2, [y - 0.32, y + 0.32], color=colour, linewidth=2)
            text = f"{arm['auc']['mean']:.3f}"
            axes.text(1.03, y, text, transform=beside, va="center", fontsize=8)
    axes.set_xlim(*_ends(found))
    axes.set_xlabel("test AUC, any hemorrhage: seeds, their mean, 95 % CI")
    return drawing


def _ends(found: Mapping[str, Any]) -> tuple[float, float]:
    shown = [0.5]
    for arm in found["arms"]:
        shown += [*arm["auc"]["by_seed"], *(arm["auc"]["interval"] or ())]
    return float(np.floor(min(shown) * 20 - 0.2) / 20), min(1.0, float(np.ceil(max(shown) * 20 + 0.2) / 20))
