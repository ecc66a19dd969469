"""The ablation's page: the verdict first, then the differences, the arms and how they were trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from bloodnet_model.files import write_whole
from bloodnet_model.page import render_page
from simulation.ablation.claim import CLAIMED, RIVALS
from simulation.comparison_figures import DifferenceRow, auc_plot, curves_plot, difference_plot

REPORT: Final = "ablation.html"

SEES: Final[Mapping[str, str]] = {
    "dependent": "the predicted mask; gradients flow through it",
    "detached": "the predicted mask, gradients stopped",
    "independent": "a constant in its place; masks still teach the encoder",
    "attention": "a map of the same shape that no mask teaches",
    "shuffled": "the predicted mask of another slice",
    "single": "a constant, and no mask teaches anything",
    "oracle": "the true mask: an upper bound",
}
"""What the classifier sees in each arm."""

_BODY: Final = """
<header>
<p class="eyebrow">BloodNet · ablation of the link</p>
{% if data == "synthetic" %}
<p class="banner" role="note">Synthetic heads: this tests the method; it says nothing of clinical accuracy.</p>
{% endif %}
<h1>{{ headline }}</h1>
{% if verdict %}
<p class="lead">{{ verdict.why[0] | upper }}{{ verdict.why[1:] }}</p>
{% else %}
<p class="lead">The rule says nothing here: it needs dependent, independent, attention and shuffled.</p>
{% endif %}
<p>The rule, fixed beforehand: {{ rule }}</p>
<dl>
<div><dt>Test studies</dt><dd>{{ test.studies | thousands }}, {{ test.positives | thousands }} with blood</dd></div>
<div><dt>Hospitals</dt><dd>{{ test.sites }}</dd></div>
<div><dt>Arms</dt><dd>{{ arms | length }}</dd></div>
<div><dt>Seeds</dt><dd>{{ seeds }}</dd></div>
<div><dt>Network</dt><dd>{{ preset }}</dd></div>
</dl>
</header>
<div class="cards">
<div class="stack">
<figure class="card">
<h2>Dependent minus each other arm</h2>
{{ differences }}
<figcaption>Difference of pooled test AUCs, mean over the seeds. Wide line: 95 % interval for new patients and new
trainings (Obuchowski and Rockette, degrees of freedom of Hillis). Thin line: for new patients alone (DeLong).
To the right of 0, dependent is better.</figcaption>
</figure>
<figure class="card">
<h2>Every training</h2>
{{ aucs }}
<figcaption>Seeds differ in the weights that training starts from and in the order of the batches; within a seed all
arms have the same.</figcaption>
</figure>
</div><div class="stack">
<figure class="card">
<h2>Each arm trained to its plateau</h2>
{{ curves }}
<figcaption>Validation AUC at a steady learning rate until it rises no more; red: after the learning rate has come
down, the network that is tested.</figcaption>
</figure>
</div>
<section class="card wide">
<h2>Arms</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr><th>link</th><th class="text">the classifier sees</th><th>test AUC, mean</th><th>by seed</th>
<th>validation Dice</th><th>steps</th><th>plateaus</th></tr></thead>
<tbody>
{% for link, trainings in arms.items() %}
<tr><th>{{ link }}</th><td class="text why">{{ sees[link] }}</td>
<td>{{ "%.3f" | format(trainings | map(attribute="auc") | sum / trainings | length) }}</td>
<td>{% for arm in trainings %}{{ "%.3f" | format(arm.auc) }} {% endfor %}</td>
<td>{{ dice(trainings) }}</td>
{% set steps = trainings | map(attribute="steps") | list %}
<td>{{ steps | min | thousands }}{% if steps | max > steps | min %} to {{ steps | max | thousands }}{% endif %}</td>
<td>{{ trainings | selectattr("settled") | list | length }} of {{ trainings | length }}</td></tr>
{% endfor %}
</tbody></table></div>
</section>
<section class="card wide">
<h2>Differences</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr><th>dependent minus</th><th>ΔAUC</th><th>patients and trainings</th><th>patients, DeLong</th>
<th>patients, bootstrap</th><th>studies that would decide</th></tr></thead>
<tbody>
{% for link, one in comparisons.items() %}
<tr><th>{{ link }}</th><td>{{ "%+.3f" | format(one.delta) }}</td><td class="ci">{{ one.interval | pair }}</td>
<td class="ci">{{ one.patients_delong | pair }}</td><td class="ci">{{ one.patients_bootstrap | pair }}</td>
<td>{{ needed(one) }}</td></tr>
{% endfor %}
</tbody></table></div>
{% if seeds == 1 %}
<p>With one seed every interval is for new patients alone: what another training would give, nobody knows.</p>
{% endif %}
<p class="note">95 % intervals of the difference, from counts and sums that each hospital gives out; no score leaves
one. Intervals of single pairs are not adjusted for there being several. "No number": with so many seeds, chance in
training alone keeps the interval on 0.</p>
</section>
</div>
"""


def write_page(out: Path, found: Mapping[str, Any]) -> Path:
    """`ablation.html` from what `ablation.json` holds; returns its path."""
    page = out / REPORT
    write_whole(page, page_html(found))
    return page


def page_html(found: Mapping[str, Any]) -> str:
    """Equal results give equal text."""
    arms, comparisons = found["arms"], found["comparisons"]
    return render_page(
        _BODY,
        {"pair": _pair, "thousands": "{:,}".format},
        headline=headline(found),
        dice=_dice,
        needed=_needed,
        sees=SEES,
        seeds=len(arms[CLAIMED]),
        differences=Markup(_differences(comparisons)),
        aucs=Markup(auc_plot(_aucs(arms), CLAIMED, "Test AUC of every training; see the table of arms.")),
        curves=Markup(curves_plot(_curves(arms), "Validation AUC by step, a panel an arm.")),
        **{name: found[name] for name in ("data", "preset", "test", "arms", "comparisons", "rule", "verdict")},
    )


def headline(found: Mapping[str, Any]) -> str:
    """The point in one line; synthetic data are named in its first words."""
    before = "Synthetic heads: the claim" if found["data"] == "synthetic" else "The claim"
    claim = "that classification gains from its dependence on the segmentation"
    if found["verdict"] is None:
        return f"{before} {claim} was not put to the rule"
    says = {"undecided": "is undecided"}.get(found["verdict"]["says"], found["verdict"]["says"])
    return f"{before} {says}: {claim}"


def _differences(comparisons: Mapping[str, Any]) -> str:
    rows = [
        DifferenceRow(link, one["delta"], one["interval"], one["patients_delong"], stressed=link in RIVALS)
        for link, one in comparisons.items()
    ]
    return difference_plot(rows, "AUC of dependent minus AUC of the other", "Differences of AUC; see the table.")


def _aucs(arms: Mapping[str, Any]) -> dict[str, list[float]]:
    return {link: [arm["auc"] for arm in trainings] for link, trainings in arms.items()}


def _curves(arms: Mapping[str, Any]) -> dict[str, list[list[tuple[int, float]]]]:
    return {
        link: [[(check["step"], check["auc"]) for check in arm["validation"]] for arm in trainings]
        for link, trainings in arms.items()
    }


def _dice(trainings: list[Mapping[str, Any]]) -> str:
    last = [value for arm in trainings if (value := arm["validation"][-1]["dice"]) is not None]
    return f"{sum(last) / len(last):.2f}" if last else "–"


def _needed(comparison: Mapping[str, Any]) -> str:
    """How many studies would decide a difference."""
    interval, needed = comparison["interval"], comparison["studies_to_decide"]
    if interval is not None and (interval[0] > 0 or interval[1] < 0):
        return "decided"
    return "no number" if needed is None else f"{needed:,}"


def _pair(interval: tuple[float, float] | None) -> str:
    return "undefined" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"
