"""Who took part in which round; and what a site's rounds span: its answers' seconds, its updates' norms."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from bloodnet_model.drawing import INK, LINE, MUTED, POOLED, SITE, WIDTH_IN, bare, short
from bloodnet_model.run_metrics import Round

_LEFT, _WIDTH = 0.275, 0.565
_FEW_SITES: Final = 8
_FAINT: Final = 0.4
"""Of what is as it should be, so that the rest stands out."""
_MARKS: Final = {
    "ok": ("counted", {"marker": "s", "color": SITE, "markersize": 6, "markeredgewidth": 0, "alpha": _FAINT}),
    "refused": ("lost", {"marker": "x", "color": POOLED, "markersize": 5, "markeredgewidth": 1.4}),
    "not-asked": ("not drawn", {"marker": ".", "color": MUTED, "markersize": 4.5}),
    "set-aside": ("set aside", {"marker": "_", "color": INK, "markersize": 8, "markeredgewidth": 1.4}),
}
"""Words and marks of a site's status in a round: each has its own shape, so that none is told by colour alone."""


def attendance_plot(rounds: Sequence[Round], took_part: Mapping[str, str]) -> Figure:
    """A site a line, a round a column, a mark for what became of it; `took_part` is said beside each site."""
    row_in = 0.27 if len(took_part) <= _FEW_SITES else 0.19
    drawing, axes = _rows(list(took_part), list(took_part.values()), row_in, head_in=0.34)
    numbers = np.array([entry.round for entry in rounds])
    axes.set_xlim(numbers.min() - 0.6, max(numbers.max(), 2) + 0.6)
    cell_pt = 72 * WIDTH_IN * _WIDTH / float(np.ptp(axes.get_xlim()))
    statuses = [[entry.sites[site].status if site in entry.sites else "" for entry in rounds] for site in took_part]
    places = {status: np.nonzero(np.array(statuses) == status) for status in _MARKS}
    y, x = places["ok"]
    axes.add_patch(_strokes(np.stack([numbers[x], y + 0.33], 1), (0, -0.66), SITE, 0.88 * cell_pt, _FAINT))
    y, x = places["not-asked"]
    dot_pt = min(1.8, 0.5 * cell_pt)
    axes.add_patch(
        _strokes(np.stack([numbers[x], y + dot_pt / 144 / row_in], 1), (0, -dot_pt / 72 / row_in), MUTED, dot_pt)
    )
    y, x = places["set-aside"]
    axes.add_patch(_strokes(np.stack([numbers[x] - 0.5, y], 1), (1, 0), INK, 1.4))
    y, x = places["refused"]
    axes.plot(numbers[x], y, "x", color=POOLED, markersize=min(5, 0.85 * cell_pt), markeredgewidth=1.3)
    handles = [Line2D([], [], linestyle="", label=words, **mark) for words, mark in _there(places)]  # type: ignore[arg-type]
    drawing.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(_LEFT - 0.02, 1.01), ncols=len(handles), frameon=False,
        fontsize=8, handletextpad=0.2, columnspacing=1.2, borderaxespad=0, labelcolor=MUTED,
    )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("round")
    return drawing


def span_plot(
    values: Mapping[str, Sequence[float]], texts: Mapping[str, str], unit: str, references: Mapping[str, float]
) -> Figure:
    """A site a line: from its least to its greatest value, its median marked.

    references: upright lines, by what is said above them
    """
    row_in = 0.3 if len(values) <= _FEW_SITES else 0.2
    drawing, axes = _rows(list(values), [texts[site] for site in values], row_in, head_in=0.3 if references else 0.08)
    known = [(place, np.array(of)) for place, of in enumerate(values.values()) if len(of)]
    most = max([*(of.max() for _, of in known), *references.values()])
    axes.set_xlim(0, 1.04 * most)
    for words, at in references.items():
        axes.axvline(at, color=POOLED, linewidth=1, linestyle="--")
        side = "right" if at > 0.6 * most else "left"
        axes.annotate(
            words, (at, 1), xycoords=("data", "axes fraction"), xytext=(-3 if side == "right" else 3, 4),
            textcoords="offset points", ha=side, fontsize=8, color=POOLED,
        )  # fmt: skip
    axes.hlines(range(len(values)), 0, 1, transform=axes.get_yaxis_transform(), color=LINE, linewidth=0.6, zorder=0)
    y = np.array([place for place, _ in known])
    axes.hlines(y, [of.min() for _, of in known], [of.max() for _, of in known], color=SITE, linewidth=1.6, zorder=3)
    axes.plot([np.median(of) for _, of in known], y, "o", color=SITE, markersize=5, zorder=4)
    bare(axes)
    axes.set_xlabel(unit)
    return drawing


def _rows(names: Sequence[str], texts: Sequence[str], row_in: float, head_in: float) -> tuple[Figure, Axes]:
    """A figure with a line for each of `names`, `texts` at their ends."""
    height_in = head_in + 0.46 + row_in * len(names)
    drawing = Figure(figsize=(WIDTH_IN, height_in))
    axes = drawing.add_axes((_LEFT, 0.46 / height_in, _WIDTH, row_in * len(names) / height_in))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    beside = axes.get_yaxis_transform()
    for place, (name, text) in enumerate(zip(names, texts, strict=True)):
        axes.text(-0.485, place, short(name, 19), transform=beside, va="center", fontsize=8.5)
        axes.text(1.02, place, text, transform=beside, va="center", fontsize=8.5)
    return drawing, axes


def _there(places: Mapping[str, tuple[np.ndarray, ...]]) -> list[tuple[str, Mapping[str, object]]]:
    return [mark for status, mark in _MARKS.items() if places[status][0].size]


def _strokes(
    starts: np.ndarray, stride: tuple[float, float], colour: str, width_pt: float, alpha: float = 1
) -> PathPatch:
    """Equal strokes as one path: a thousand patches would take a second, and their text a sixth of the page."""
    ends = np.stack([starts, starts + stride], 1)  # (strokes, 2 ends, 2)
    path = Path(ends.reshape(-1, 2), np.tile([Path.MOVETO, Path.LINETO], len(starts)))
    return PathPatch(path, fill=False, edgecolor=colour, linewidth=width_pt, capstyle="butt", alpha=alpha)
