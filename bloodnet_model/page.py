"""The look of the project's pages, and the frame around their content: one HTML file that needs nothing else."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from jinja2 import Environment, StrictUndefined, Template

LIGHT: Final[Mapping[str, str]] = {
    "page": "#f5f5f3",
    "card": "#ffffff",
    "ink": "#1b1e23",
    "muted": "#5c6470",
    "line": "#d9dce1",
    "site": "#40648c",
    "pooled": "#a3202f",
    "warn": "#8a5a00",
    "warn-page": "#fdf3dc",
    "good": "#2c6e49",
}
DARK: Final[Mapping[str, str]] = {
    "page": "#14161a",
    "card": "#1d2026",
    "ink": "#e9ebee",
    "muted": "#a2abb7",
    "line": "#3a404a",
    "site": "#8fb6e0",
    "pooled": "#f2858e",
    "warn": "#f0c674",
    "warn-page": "#33291a",
    "good": "#86c9a2",
}
"""Colours by their CSS variables. `site` (blue) and `pooled` (red) stay apart for the colour-blind; no figure needs
them to: line, marker and words say the same."""


def _variables(palette: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in palette.items())


_STYLE: Final = """
:root {
  color-scheme: light dark;
  LIGHT
  --font: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root { DARK }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 var(--font); }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 48px; }
header { margin-bottom: 20px; }
.eyebrow { color: var(--muted); font-size: .875rem; margin: 0 0 6px; }
h1 { font-size: clamp(1.5rem, 4.2vw, 2.5rem); line-height: 1.15; letter-spacing: -.015em; margin: 0 0 12px;
  text-wrap: balance; overflow-wrap: anywhere; }
h1 strong { color: var(--pooled); white-space: nowrap; }
h2 { font-size: 1.0625rem; margin: 0 0 4px; }
p { margin: 0 0 8px; max-width: 75ch; text-wrap: pretty; }
.lead { font-size: 1.0625rem; }
.note { color: var(--muted); font-size: .875rem; }
.banner { background: var(--warn-page); color: var(--warn); border-left: 4px solid var(--warn); padding: 10px 14px;
  border-radius: 4px; margin: 0 0 16px; font-weight: 600; max-width: none; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(108px, 1fr)); gap: 12px 20px; margin: 18px 0 0; }
dt { color: var(--muted); font-size: .8125rem; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; }
.stack { display: flex; flex-direction: column; gap: inherit; min-width: 0; }
.stack > :last-child { flex-grow: 1; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; min-width: 0; }
.wide { grid-column: 1 / -1; }
figure { margin: 0; }
figcaption { color: var(--muted); font-size: .875rem; }
svg { display: block; width: 100%; height: auto; max-width: 540px; margin: 6px auto; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); font-size: .875rem; padding-bottom: 8px; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td.text, th.text { text-align: left; }
th { font-weight: 600; }
thead th { color: var(--muted); font-weight: 500; font-size: .8125rem; vertical-align: bottom; }
tbody th { overflow-wrap: break-word; min-width: 6.2em; max-width: 18em; }
caption span { display: inline-block; max-width: min(75ch, 100vw - 64px); }
.rounds tbody th { min-width: 0; }
.why { min-width: 9em; }
tr:last-child > *, th[rowspan] { border-bottom: 0; }
.group + .group > tr:first-child > * { border-top: 1px solid var(--line); }
.group td { border-bottom: 0; padding-top: 3px; padding-bottom: 3px; }
tr.pooled > * { color: var(--pooled); font-weight: 600; border-top: 2px solid var(--line); }
th:first-child { padding-left: 0; }
.names th, .names td { padding-top: 9px; padding-bottom: 9px; }
.ci, .names th, tbody th[rowspan] { white-space: nowrap; }
.undefined { color: var(--muted); font-style: italic; }
.bad { color: var(--warn); }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; font-size: .8125rem; line-height: 1.45; margin: 12px 0 0; }
@media (max-width: 900px) {
  h1 strong { white-space: normal; }
}
@media (max-width: 760px) {
  main { padding: 18px 12px 32px; }
  .cards { grid-template-columns: minmax(0, 1fr); gap: 12px; }
  .card { padding: 14px; }
  table { font-size: .875rem; }
  th, td { padding: 6px 7px; }
}
@media print {
  :root { --page: #ffffff; --card: #ffffff; --ink: #000000; --muted: #444444; --line: #bbbbbb;
    --site: #40648c; --pooled: #a3202f; --warn: #6b4600; --warn-page: #ffffff; --good: #2c6e49; }
  body { font-size: 11pt; }
  main { padding: 0; max-width: none; }
  .card { break-inside: avoid; border-radius: 0; }
  .scroll { overflow: visible; }
}
"""

_FRAME: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{{ headline }}</title>
<style>STYLE</style>
</head>
<body>
<main>
BODY
</main>
</body>
</html>
"""


def render_page(body: str, filters: Mapping[str, Callable[..., Any]], style: str = "", /, **values: Any) -> str:
    """The page of a body in Jinja2, in which whatever comes from elsewhere is escaped; equal values, equal text.

    style:  CSS of this page alone
    values: what the body names, and `headline`, the title
    """
    return _compiled(body, style, tuple(sorted(filters.items()))).render(**values)


@cache
def _compiled(body: str, style: str, filters: tuple[tuple[str, Callable[..., Any]], ...]) -> Template:
    """A run writes its page after every round."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= dict(filters)
    own_style = _STYLE.replace("LIGHT", _variables(LIGHT)).replace("DARK", _variables(DARK))
    return environment.from_string(_FRAME.replace("STYLE", own_style + style).replace("BODY", body))
