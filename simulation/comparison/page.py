"""The comparison's page: what federating was worth, to all patients together and to each hospital."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from markupsafe import Markup

from bloodnet_model.files import write_whole
from bloodnet_model.page import render_page
from simulation.comparison.ways import CENTRAL, CENTRAL_TOTAL
from simulation.comparison_figures import DifferenceRow, auc_plot, difference_plot

REPORT: Final = "comparison.html"

_BODY: Final = """
{% macro row(name, one) %}
<tr><th>{{ name }}</th>
{% if one.delta is none %}
<td colspan="5" class="text undefined">{{ one.undefined }}</td>
{% else %}
<td>{{ one.auc_first | average }}</td><td>{{ one.auc_second | average }}</td><td>{{ "%+.3f" | format(one.delta) }}</td>
<td class="ci">{{ one.interval | pair }}</td><td class="ci">{{ one.patients_bootstrap | pair }}</td>
{% endif %}
</tr>
{% endmacro %}
<header>
<p class="eyebrow">BloodNet · ways of training on the same patients</p>
{% if data == "synthetic" %}
<p class="banner" role="note">Synthetic heads: this tests the method; it says nothing of clinical accuracy.</p>
{% endif %}
<h1>{{ headline }}</h1>
{% for sentence in sentences %}
<p class="lead">{{ sentence }}</p>
{% endfor %}
<dl>
<div><dt>Test studies</dt><dd>{{ test.studies | thousands }}</dd></div>
<div><dt>Hospitals</dt><dd>{{ test.sites }}</dd></div>
<div><dt>Rounds</dt><dd>{{ rounds }} of {{ local_epochs }} epochs</dd></div>
<div><dt>Seeds</dt><dd>{{ seeds }}</dd></div>
<div><dt>Network</dt><dd>{{ preset }}</dd></div>
</dl>
</header>
<div class="cards">
<div class="stack">
<figure class="card">
<h2>{{ reference }} minus every other way</h2>
{{ differences }}
<figcaption>Difference of pooled test AUCs, mean over the seeds. Wide line: 95 % interval for new patients and new
trainings. Thin line: for new patients alone. To the right of 0, {{ reference }} is better.</figcaption>
</figure>
<figure class="card">
<h2>Every training</h2>
{{ aucs }}
<figcaption>On the test patients of all hospitals; a local network is scored on everybody, too.</figcaption>
</figure>
</div><div class="stack">
<figure class="card">
<h2>What federating is worth to each hospital</h2>
{{ worth }}
<figcaption>{{ reference }} minus what the hospital trains alone with as many optimiser steps, on its own test patients
and on those of all others.</figcaption>
</figure>
</div>
<section class="card wide">
<h2>On all test patients</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr><th>{{ reference }} against</th><th>{{ reference }}</th><th>other</th><th>difference</th>
<th>patients and trainings</th><th>patients, bootstrap</th></tr></thead>
<tbody>{% for name, one in against.items() %}{{ row(name, one) }}{% endfor %}</tbody></table></div>
</section>
<section class="card wide">
<h2>Hospital by hospital</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr><th>hospital alone, on</th><th>{{ reference }}</th><th>alone</th><th>difference</th>
<th>patients and trainings</th><th>patients, bootstrap</th></tr></thead>
<tbody>{% for name, both in hospitals.items() %}{{ row(name + ": its own", both.own) }}
{{ row(name + ": others'", both.others) }}{% endfor %}</tbody></table></div>
<p class="note">AUC of any hemorrhage, mean over the seeds; 95 % intervals (Obuchowski and Rockette, degrees of freedom
of Hillis), from counts and sums that each hospital gives out.</p>
</section>
<section class="card wide">
<h2>Optimiser steps</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr><th>way</th><th>steps of all sites together</th><th>AUC by seed</th></tr></thead>
<tbody>{% for name, way in ways.items() %}
<tr><th>{{ name }}</th><td>{{ way.steps[0] | thousands }}</td>
<td>{% for auc in way.auc %}{{ "–" if auc is none else "%.3f" | format(auc) }} {% endfor %}</td></tr>
{% endfor %}</tbody></table></div>
</section>
</div>
"""


def write_page(out: Path, found: Mapping[str, Any]) -> Path:
    """`comparison.html` from what `comparison.json` holds; returns its path."""
    page = out / REPORT
    write_whole(page, page_html(found))
    return page


def page_html(found: Mapping[str, Any]) -> str:
    """Equal results give equal text."""
    shown = ("data", "preset", "rounds", "local_epochs", "seeds", "reference", "test", "ways", "hospitals")
    aucs = {name: [auc for auc in way["auc"] if auc is not None] for name, way in found["ways"].items()}
    return render_page(
        _BODY,
        {"pair": _pair, "thousands": "{:,}".format, "average": _average},
        headline=headline(found),
        sentences=list(sentences(found)),
        against=found["differences"],
        differences=_drawn(_rows(found["differences"]), found["reference"], "Differences; see the table."),
        worth=_drawn(_worth_rows(found), found["reference"], "Differences by hospital; see the table."),
        aucs=Markup(auc_plot(aucs, found["reference"], "Test AUC of every training; see the table of steps.")),
        **{name: found[name] for name in shown},
    )


def headline(found: Mapping[str, Any]) -> str:
    """The point in one line; synthetic data are named in its first words."""
    before = "Synthetic heads: " if found["data"] == "synthetic" else ""
    reference = found["reference"]
    return f"{before}{reference} reaches a pooled test AUC of {_average(found['ways'][reference]['auc'])}"


def sentences(found: Mapping[str, Any]) -> Iterator[str]:
    """Against training in one place, and against every hospital alone, in plain language."""
    named = {
        CENTRAL: "training in one place with as many steps in sequence",
        CENTRAL_TOTAL: "training in one place with as many steps as all hospitals have together",
    }
    for way, words in named.items():
        one = found["differences"][way]
        if one["delta"] is not None:
            yield f"Against {words}: {one['delta']:+.3f} ({_pair(one['interval'])})."
    gains = [both["others"]["delta"] for both in found["hospitals"].values() if both["others"]["delta"] is not None]
    if gains:
        yield (
            f"Against a hospital that trains alone, on other hospitals' patients: {fmean(gains):+.3f} on average, "
            f"{min(gains):+.3f} to {max(gains):+.3f} by hospital."
        )


def _drawn(rows: Sequence[DifferenceRow], reference: str, description: str) -> Markup | str:
    if not rows:
        return "No difference exists; the table says why."
    return Markup(difference_plot(rows, f"AUC of {reference} minus AUC of the other", description))


def _rows(differences: Mapping[str, Any]) -> list[DifferenceRow]:
    return [
        DifferenceRow(name, one["delta"], one["interval"], one["patients_delong"], stressed=name == CENTRAL)
        for name, one in differences.items()
        if one["delta"] is not None
    ]


def _worth_rows(found: Mapping[str, Any]) -> list[DifferenceRow]:
    flat = {f"{name}, {of}": both[of] for of in ("own", "others") for name, both in found["hospitals"].items()}
    return _rows(flat)


def _average(aucs: Sequence[float | None]) -> str:
    known = [auc for auc in aucs if auc is not None]
    return f"{fmean(known):.3f}" if len(known) == len(aucs) else "undefined"


def _pair(interval: Sequence[float] | None) -> str:
    return "undefined" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"
