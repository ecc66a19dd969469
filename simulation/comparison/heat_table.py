"""The table of every network at every hospital: a tint, a frame and words say the same as the figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

HEAT_STYLE: Final = """
.heat { border-collapse: separate; border-spacing: 2px; }
.heat th, .heat td { text-align: center; border: 0; vertical-align: middle; }
.heat thead th { overflow-wrap: anywhere; min-width: 6.5em; vertical-align: bottom; }
.heat tbody th { min-width: min(11em, 26vw); }
.heat th:first-child { text-align: left; position: sticky; left: 0; background: var(--card); padding-right: 10px; }
.heat td { border: 2px solid transparent; border-radius: 4px; white-space: nowrap;
  background: color-mix(in srgb, var(--site) var(--tint, 0%), var(--card)); }
.heat td.own { border: 2px solid var(--pooled); font-weight: 700; }
.heat small { display: block; font-weight: 400; font-size: .75rem; }
.heat td.everybody { background: none; border-left: 2px solid var(--line); border-radius: 0; }
.heat tr.together > * { border-top: 2px solid var(--line); }
.heat tr.together > td:not(.everybody) { border-top-left-radius: 0; border-top-right-radius: 0; }
"""

HEAT_TABLE: Final = """
<section class="card wide">
<h2>Every network at every hospital</h2>
<div class="scroll" tabindex="0"><table class="heat">
<thead><tr><th scope="col">trained</th>
{% for name, classes in cross_site.tested.items() %}
<th scope="col">tested at {{ name }}<small>{{ classes.positive | thousands }} with blood,
{{ classes.negative | thousands }} without</small></th>
{% endfor %}
<th scope="col">at all together</th></tr></thead>
<tbody>{% for row in heat %}
<tr{% if row.first_together %} class="together"{% endif %}><th scope="row">{{ row.name }}</th>
{% for cell in row.cells %}
<td{% if cell.own %} class="own"{% endif %} style="--tint: {{ cell.tint }}%">{{ cell.auc }}
<small>{% if cell.own %}own, {% endif %}{{ cell.between }}</small></td>
{% endfor %}
<td class="everybody">{{ row.everybody | average }}</td></tr>
{% endfor %}</tbody></table></div>
<p class="note">AUC of any hemorrhage, mean over the seeds, from the counts of the hospital it was tested at; below it
the 95 % interval of one network for new patients (DeLong). Framed, and called own: tested where it was trained. The
stronger the tint, the higher. Patients are the same down a column, not along a row; the last column pools all.</p>
{% if lowest %}
<p class="note">{{ lowest }}</p>
{% endif %}
</section>
"""

_FAINTEST, _STRONGEST = 4, 42  # per cent of the tint: on the strongest, text keeps a contrast of 4.5 in both schemes


@dataclass(frozen=True)
class HeatCell:
    """An AUC and its interval as they are shown; `tint` in per cent."""

    auc: str
    between: str
    tint: int
    own: bool


@dataclass(frozen=True)
class HeatRow:
    """One way of training at every hospital; `first_together`: the first that is no hospital's own."""

    name: str
    cells: tuple[HeatCell, ...]
    everybody: Sequence[float | None]
    first_together: bool


def heat_rows(found: Mapping[str, Any]) -> list[HeatRow]:
    """Rows of the table, of what `comparison.json` holds."""
    trained = found["cross_site"]["trained"]
    known = [cell["mean"] for row in trained.values() for cell in row["auc"].values() if cell["mean"] is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    together = next((name for name, row in trained.items() if not row["own"]), "")
    return [
        HeatRow(
            _trained(name, row["own"]),
            tuple(_cell(cell, low, high, own=site == row["own"]) for site, cell in row["auc"].items()),
            found["ways"][name]["auc"],
            name == together,
        )
        for name, row in trained.items()
    ]


def lowest(found: Mapping[str, Any]) -> str:
    """Where a hospital's own network and the reference do worst, in one sentence; empty where nothing is known."""
    trained, reference = found["cross_site"]["trained"], found["reference"]
    alone = min(_cells((name, row) for name, row in trained.items() if row["own"]), default=None)
    joint = min(_cells([(reference, trained[reference])]), default=None)
    if alone is None or joint is None:
        return ""
    return (
        f"The lowest AUC of a network trained alone is {alone[0]:.3f} ({trained[alone[1]]['own']}'s at {alone[2]}); "
        f"the lowest of {reference} is {joint[0]:.3f} (at {joint[2]})."
    )


def _cells(rows: Any) -> Iterator[tuple[float, str, str]]:
    """(AUC, way, hospital) of every known cell."""
    for name, row in rows:
        for site, cell in row["auc"].items():
            if cell["mean"] is not None:
                yield cell["mean"], name, site


def _cell(cell: Mapping[str, Any], low: float, high: float, own: bool) -> HeatCell:
    if cell["mean"] is None:
        return HeatCell("–", "undefined", 0, own)
    share = (cell["mean"] - low) / (high - low) if high > low else 0.5
    between = "{:.2f} to {:.2f}".format(*cell["interval"]) if cell["interval"] else "no interval"
    return HeatCell(f"{cell['mean']:.3f}", between, round(_FAINTEST + share * (_STRONGEST - _FAINTEST)), own)


def _trained(name: str, own: str) -> str:
    return f"at {own} alone" if own else name
