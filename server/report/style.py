"""The look of the report alone, beside that of all pages: sections under rules instead of cards."""

from typing import Final

STYLE: Final = """
body { background: var(--card); }
main > section { border-top: 2px solid var(--ink); padding-top: 14px; margin-top: 44px; }
main > section > h2 { font-size: 1.4375rem; line-height: 1.25; letter-spacing: -.01em; margin: 0 0 10px; }
h3 { font-size: 1.0625rem; margin: 0 0 2px; }
nav { margin: 18px 0 0; font-size: .9375rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; margin: 0; padding: 0; }
nav a, a { color: var(--site); text-underline-offset: 3px; }
a:focus-visible, .scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--site); outline-offset: 2px; }
.answers { display: block; margin: 2px 0 0; max-width: 62rem; }
.answers div { display: grid; grid-template-columns: 11.5rem minmax(0, 1fr); gap: 2px 18px; padding: 8px 0;
  border-top: 1px solid var(--line); }
.answers dt { color: var(--ink); font-weight: 600; font-size: 1rem; }
.answers dd { font-weight: 400; }
.facts { border-top: 1px solid var(--line); margin-top: 0; padding-top: 12px; }
.facts dd { font-size: .9375rem; }
.pair { columns: 2; column-gap: 40px; margin-top: 14px; }
.pair > * { min-width: 0; break-inside: avoid; margin: 0 0 26px; }
figure svg { margin: 4px 0 2px; }
figcaption { font-size: .9375rem; max-width: 66ch; }
.reading { color: var(--ink); margin: 0 0 3px; }
figcaption .note { margin: 0; }
.pair table { font-size: .875rem; }
.pair th:not(:first-child), .pair td { padding-left: 6px; padding-right: 6px; }
.table { margin-top: 22px; min-width: 0; }
.pair > .table { margin-top: 0; }
.table h3 { margin-bottom: 4px; }
.group th { padding-top: 3px; padding-bottom: 3px; }
.tall { max-height: 30rem; overflow-y: auto; border-bottom: 1px solid var(--line); }
.tall thead th { position: sticky; top: 0; background: var(--card); }
.of { display: block; white-space: nowrap; color: var(--muted); font-size: .8125rem; }
.of.whole { white-space: normal; }
.mark { border: 1px solid currentColor; border-radius: 3px; padding: 0 4px; font-size: .75rem; white-space: nowrap; }
td.cell { background: color-mix(in srgb, var(--site) calc(var(--shade) * 1%), var(--card)); text-align: center; }
td.home { font-weight: 700; outline: 2px solid var(--ink); outline-offset: -3px; }
.matrix th { text-align: center; }
.matrix tbody th { text-align: left; white-space: nowrap; }
.matrix td { padding: 6px 4px; border-bottom: 0; }
.words td { text-align: left; }
.words tbody th { white-space: normal; width: 14em; }
tr.ruled > * { border-top: 2px solid var(--line); }
@media (max-width: 760px) {
  .answers div { grid-template-columns: minmax(0, 1fr); }
  .pair { columns: auto; }
  main > section { margin-top: 30px; }
  .words tbody th { width: 8em; }
  td.text.ci, tbody th.ci { white-space: normal; }
  .matrix tbody th { white-space: normal; }
}
@media print {
  nav { display: none; }
  .answers div { grid-template-columns: 11rem minmax(0, 1fr); }
  main > section { margin-top: 22pt; }
  h2, h3, caption { break-after: avoid; }
  figure, tr, .answers div, .pair > * { break-inside: avoid; }
  .pair { columns: auto; }
  .pair > .table { break-inside: auto; }
  figure svg { max-height: 160mm; }
  thead { display: table-header-group; }
  table, .pair table { font-size: 8.5pt; }
  th, td { padding: 3pt 4pt; }
  .matrix, .many { font-size: 7pt; }
  .many th, .many td { padding: 2pt; }
  .many thead th { font-size: 7pt; }
  .matrix td, .matrix th { padding: 2pt 1pt; }
  th.ci, td.ci { white-space: normal; }
  .tall { max-height: none; overflow: visible; }
  .tall thead th { position: static; }
  td.cell { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  pre { white-space: pre-wrap; overflow: visible; overflow-wrap: anywhere; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
}
"""
