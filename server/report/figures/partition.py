"""Who was dealt what in a simulation."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from bloodnet_model.drawing import SITE, WIDTH_IN, bare, short


def partition_plot(findings: Mapping[str, Mapping[str, int]]) -> Figure:
    """Studies by site (one below the other) and finding: circles whose areas, and the figures in them, are counts."""
    columns = list(dict.fromkeys(name for counts in findings.values() for name in counts))
    columns = [name for name in columns if any(counts.get(name) for counts in findings.values())]
    table = np.array([[counts.get(column, 0) for column in columns] for counts in findings.values()])
    height_in = 0.7 + (0.42 if len(findings) <= 8 else 0.34) * len(findings)
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
    y, x = np.indices(table.shape)
    sizes = 620 * table / (table.max(initial=0) or 1)
    axes.scatter(x.ravel(), y.ravel(), s=sizes.ravel(), color=SITE, alpha=0.3, linewidths=0)
    for place, name in enumerate(findings):
        axes.text(-0.02, place, short(name, 15), transform=axes.get_yaxis_transform(), ha="right", va="center")
        for column, count in enumerate(table[place]):
            axes.text(column, place, f"{count:,}" if count else "–", ha="center", va="center", fontsize=8)
    return drawing
