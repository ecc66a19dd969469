"""The figures of a triage simulation: SVG for its page, and a sheet of both as PNG and as an SVG of its own."""

import io
from collections.abc import Callable, Mapping
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bloodnet_model.drawing import INK, LINE, MUTED, POOLED, SITE, WIDTH_IN, house_style, svg
from simulation.triage_benefit.benefit import BY_SCORE, FIRST_COME, FLAGGED, ICH, MISSED, NO_ICH, Benefit
from simulation.triage_benefit.wording import GROUPS, POLICIES, answer, department, minutes

Paint = Callable[[str], str]
"""From the house's stand-in for a colour to what is drawn with."""

_LIGHT: Final = {INK: "#1b1e23", MUTED: "#5c6470", LINE: "#d9dce1", SITE: "#40648c", POOLED: "#a3202f"}
_DARK: Final = {INK: "#e9ebee", MUTED: "#a2abb7", LINE: "#3a404a", SITE: "#8fb6e0", POOLED: "#f2858e"}
_COLOURS: Final = {FIRST_COME: MUTED, FLAGGED: SITE, BY_SCORE: POOLED}
_MARKERS: Final = {FIRST_COME: "o", FLAGGED: "s", BY_SCORE: "D"}
_SHOWN_GROUPS: Final = (ICH, MISSED, NO_ICH)


def waiting_plot(benefit: Benefit) -> str:
    """How long ICH-positive studies wait: `<svg>` for a page."""
    with house_style("waiting"):
        drawing = Figure(figsize=(WIDTH_IN, 3.9))
        _draw_waiting(drawing.add_axes((0.12, 0.13, 0.85, 0.79)), benefit, str)
        return svg(drawing, "Share of ICH-positive studies being read by minutes from arrival; see the table.")


def means_plot(benefit: Benefit) -> str:
    """Mean minutes to reading by group and policy: `<svg>` for a page."""
    with house_style("means"):
        drawing = Figure(figsize=(WIDTH_IN, 3.9))
        _draw_means(drawing.add_axes((0.32, 0.13, 0.36, 0.83)), benefit, str)
        return svg(drawing, "Mean minutes to reading by group of studies and policy; see the table.")


def sheet_png(benefit: Benefit) -> bytes:
    """Both figures on white."""
    with house_style("sheet"):
        mpl.rcParams.update({key: _LIGHT[value] for key, value in mpl.rcParams.items() if _is_stand_in(value)})
        drawing = _sheet(benefit, lambda stand_in: _LIGHT[stand_in])
        FigureCanvasAgg(drawing)
        file = io.BytesIO()
        drawing.savefig(file, format="png", dpi=160, facecolor="white", metadata={"Software": None})
        return file.getvalue()


def sheet_svg(benefit: Benefit) -> str:
    """Both figures as a file that follows the viewer's light or dark scheme."""
    with house_style("sheet"):
        drawing = _sheet(benefit, str)
        inline = svg(drawing, str(answer(benefit)))
        width_in, height_in = drawing.get_size_inches()
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    opening, body = inline.split(">", 1)
    size = f'width="{96 * width_in:.0f}" height="{96 * height_in:.0f}"'
    style = f"<style>{_variables(_LIGHT, '#ffffff')}@media(prefers-color-scheme:dark){{{_variables(_DARK, '#1d2026')}}}"
    background = '</style><rect width="100%" height="100%" fill="var(--card)"/>'
    return f"{opening.replace('<svg', f'<svg {spaces} {size}')}>{style}{background}{body}\n"


def _variables(colours: Mapping[str, str], card: str) -> str:
    names = {INK: "ink", MUTED: "muted", LINE: "line", SITE: "site", POOLED: "pooled"}
    listed = "".join(f"--{names[stand_in]}:{colour};" for stand_in, colour in colours.items())
    return f':root{{{listed}--card:{card};--font:system-ui,"DejaVu Sans",sans-serif;}}'


def _is_stand_in(value: object) -> bool:
    return isinstance(value, str) and value in _LIGHT


def _sheet(benefit: Benefit, paint: Paint) -> Figure:
    drawing = Figure(figsize=(10.4, 5.1))
    told = answer(benefit)
    headline = f"{told.what} {told.value}\n{told.rest}"
    drawing.text(0.02, 0.965, headline, fontsize=12, fontweight="bold", va="top", linespacing=1.35)
    drawing.text(0.02, 0.845, department(benefit), fontsize=8.5, color=paint(MUTED), va="center")
    _draw_waiting(drawing.add_axes((0.055, 0.1, 0.40, 0.64)), benefit, paint)
    _draw_means(drawing.add_axes((0.66, 0.1, 0.19, 0.68)), benefit, paint)
    return drawing


def _draw_waiting(axes: Axes, benefit: Benefit, paint: Paint) -> None:
    """Cumulative distributions, up to where all but 3 % are being read under every policy."""
    last = max(np.quantile(waits, 0.97) for waits in benefit.ich_minutes.values() if waits.size)
    axes.set_xlim(0, max(last, 1))
    axes.set_ylim(0, 1.01)
    axes.grid(axis="y", color=paint(LINE), linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    grid = np.linspace(0, max(last, 1), 400)
    for place, (policy, waits) in enumerate(reversed(list(benefit.ich_minutes.items()))):
        share = np.searchsorted(waits, grid, side="right") / max(waits.size, 1)
        first = policy == benefit.best
        axes.plot(grid, share, color=paint(_COLOURS[policy]), linewidth=2.0 if first else 1.4)
        weight = "bold" if first else "normal"
        axes.text(
            0.97, 0.24 - 0.08 * place, POLICIES[policy], transform=axes.transAxes, ha="right",
            color=paint(_COLOURS[policy]), fontweight=weight,
        )  # fmt: skip
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 3, 5, 6, 10]))
    axes.set_xlabel("minutes from arrival to the start of reading")
    axes.set_title("ICH-positive studies that are being read", loc="left", fontsize=8.5, color=paint(MUTED), pad=6)


def _draw_means(axes: Axes, benefit: Benefit, paint: Paint) -> None:
    """Three blocks of rows, one a group, a point with its interval for each policy."""
    policies = list(benefit.outcomes)
    step = len(policies) + 1.4
    axes.set_ylim(step * len(_SHOWN_GROUPS) - 0.6, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    beside = axes.get_yaxis_transform()
    for block, group in enumerate(_SHOWN_GROUPS):
        axes.text(-0.86, step * block, GROUPS[group], transform=beside, va="center", fontweight="bold")
        usual = benefit.outcomes[FIRST_COME][group].measures["mean"].value
        if usual is not None:  # left of this line is sooner than now
            ends = step * block + np.array([0.6, len(policies) + 0.4])
            axes.plot([usual, usual], ends, color=paint(LINE), linewidth=0.8)
        for row, policy in enumerate(policies, start=1):
            y, mean = step * block + row, benefit.outcomes[policy][group].measures["mean"]
            colour = paint(_COLOURS[policy])
            axes.text(-0.86, y, POLICIES[policy], transform=beside, va="center", color=colour, fontsize=8.5)
            axes.text(1.08, y, minutes(mean), transform=beside, va="center", fontsize=8.5)
            if mean.value is not None and mean.low is not None and mean.high is not None:
                axes.plot([max(mean.low, 0), mean.high], [y, y], color=colour, linewidth=1.6)
                axes.plot([mean.value], [y], marker=_MARKERS[policy], markersize=5, color=colour, clip_on=False)
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_xlabel("mean minutes to reading (95 % CI)")
