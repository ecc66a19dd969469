"""Figures for the project's pages: SVG text to stand inside HTML, the same bytes for the same figures.

Colours and font are those of the page. Inside HTML each colour becomes its CSS variable, so one figure serves the
light and the dark scheme; a file of its own keeps the light ones, on white.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from bloodnet_model.page import LIGHT

WIDTH_IN: Final = 4.7
_EDGE_PT: Final = 6
"""White around a file's drawing; a page has its own."""
_DRAWN: Final = ("ink", "muted", "line", "site", "pooled", "card")
INK, MUTED, LINE, SITE, POOLED, CARD = (LIGHT[name] for name in _DRAWN)
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.solid_capstyle": "round",
}


def title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=8.5, color=MUTED, pad=6)


def bare(axes: Axes) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def short(text: str, longest: int) -> str:
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return printable if len(printable) <= longest else printable[: longest - 1] + "…"


@contextmanager
def house_style(name: str) -> Iterator[None]:
    """The house style; `name` salts the ids so that figures of one page do not share any."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # A site's name may hold letters the measuring font lacks; the browser has others.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def svg(drawing: Figure, description: str) -> str:
    """The drawing as one `<svg>` element for HTML, with `description` for who cannot see it."""
    body = _body(drawing).replace("'DejaVu Sans'", "var(--font)")
    for name in _DRAWN:
        body = body.replace(LIGHT[name], f"var(--{name})")
    return f"<svg {_frame(drawing, description)}>{body}"


def svg_file(drawing: Figure, description: str) -> str:
    """The drawing as a file of its own: light colours on white, a font that any viewer has."""
    body = _body(drawing).replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    width_pt, height_pt = 72 * drawing.get_size_inches() + 2 * _EDGE_PT
    box = f'x="{-_EDGE_PT}" y="{-_EDGE_PT}" width="{width_pt:.2f}" height="{height_pt:.2f}"'
    white = f'<rect {box} fill="#ffffff"/>'
    return f"<svg {names} {_frame(drawing, description, _EDGE_PT)}>\n{white}{body}\n"


def png(drawing: Figure, dots_per_inch: int = 200) -> bytes:
    """The drawing on white; the same bytes for the same figures."""
    FigureCanvasAgg(drawing)
    file = io.BytesIO()
    metadata = {"Software": None}  # matplotlib's own name and version otherwise
    edge_in = _EDGE_PT / 72
    width_in, height_in = drawing.get_size_inches()
    box = Bbox.from_extents(-edge_in, -edge_in, width_in + edge_in, height_in + edge_in)
    drawing.savefig(file, format="png", dpi=dots_per_inch, facecolor="white", bbox_inches=box, metadata=metadata)
    return file.getvalue()


def _frame(drawing: Figure, description: str, edge_pt: int = 0) -> str:
    width_pt, height_pt = 72 * drawing.get_size_inches() + 2 * edge_pt
    box = f"{-edge_pt} {-edge_pt} {width_pt:.2f} {height_pt:.2f}"
    return f'viewBox="{box}" role="img" aria-label="{escape(description)}"'


def _body(drawing: Figure) -> str:
    """What stands inside `<svg>`, its end tag too: without background, metadata, and ids that nothing names."""
    drawing.patch.set_alpha(0)
    for axes in drawing.axes:
        axes.patch.set_alpha(0)
    file = io.StringIO()
    drawing.savefig(file, format="svg")
    text = file.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    # The metadata hold the date, and matplotlib's own style would apply to the whole page.
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    return re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", body)
