"""The body of the report's page. It stands in a Python file because Flower's app bundle carries no templates."""

from typing import Final

_MACROS: Final = """
{% macro auc(record) %}
{% if record.auc is none %}
<td class="text why undefined">{{ record.undefined }}</td>
{% elif record.auc_low is none %}
<td class="text">{{ record.auc | figure(3) }} <span class="undefined">{{ record.undefined }}</span></td>
{% else %}
<td class="text">{{ record.auc | figure(3) }} <span class="ci">({{ record | interval(3) }})</span></td>
{% endif %}
{% endmacro %}
{% macro reasons(counts) %}
{% for reason, count in counts.items() %}
{{ ", " if not loop.first }}{{ count | thousands }} {{ reason | in_words }}
{%- endfor %}
{% endmacro %}
"""

_TOP: Final = """
<header>
<p class="eyebrow">BloodNet federation · run {{ metrics.run.name }}</p>
{% if metrics.run.data == "synthetic" %}
<p class="banner" role="note">Synthetic heads: this tests the plumbing; it is not clinical accuracy.</p>
{% endif %}
<h1>{{ headline.what }} <strong>{{ headline.value }}</strong>{{ headline.patients }}</h1>
{% for sentence in comparisons %}
<p class="lead">{{ sentence }}</p>
{% endfor %}
{% if shown and shown.coarse %}
<p class="note">The scores lie so close together that counting them on bins can have moved this AUC by up to
{{ shown.record.error_bound | figure }}, true ties included.</p>
{% endif %}
<dl>
<div><dt>Strategy</dt><dd>{{ metrics.run.strategy }}</dd></div>
<div><dt>Rounds</dt><dd>{{ metrics.rounds | length }} of {{ metrics.run.rounds }}</dd></div>
<div><dt>Hospitals</dt><dd>{{ metrics.sites | length }}</dd></div>
{% for plural, used, found in totals[:1] %}
<div><dt>{{ plural | capitalize }} used</dt><dd>{{ used | thousands }} of {{ found | thousands }}</dd></div>
{% endfor %}
<div><dt>Network</dt><dd>{{ metrics.run.preset }}</dd></div>
<div><dt>Link</dt><dd>{{ metrics.run.link }}</dd></div>
<div><dt>Parameters</dt><dd>{{ metrics.run.parameters | thousands }}</dd></div>
<div><dt>Seed</dt><dd>{{ metrics.run.seed }}</dd></div>
</dl>
</header>
"""

_FIGURES: Final = """
{% set dealt %}
{% if partition %}
<figure class="card">
<h2>Who was dealt what</h2>
{{ partition }}
<figcaption>Studies, by kind of hemorrhage; one with several kinds counts in each. Studies with labels:
{% for name, share in metrics.partition.items() %}
{{ name }}
{%- if share.tests %} ({{ share.tests }} only){% endif %}:
{% for kind, count in share.labels.items() %}{{ ", " if not loop.first }}{{ count | thousands }} {{ kind }}{% endfor %}
{{- "." if loop.last else ";" }}
{% endfor %}</figcaption>
</figure>
{% endif %}
{% endset %}
<div class="stack">
{% if forest %}
<figure class="card">
<h2>Every hospital, and all patients together</h2>
{{ forest }}
<figcaption>{{ shown.split | capitalize }} studies, any hemorrhage; the vertical line is the AUC of all
patients.</figcaption>
</figure>
{% endif %}
{% if learning %}
<figure class="card">
<h2>Learning, round by round</h2>
{{ learning }}
<figcaption>Evaluated by every hospital on its validation patients after each round.</figcaption>
</figure>
{% endif %}
{% if tests %}{{ dealt }}{% endif %}
</div><div class="stack">
{% if roc %}
<figure class="card">
<h2>Sensitivity and specificity</h2>
{{ roc }}
<figcaption>All test patients. Sensitivity {% for percent, value in sensitivity.items() %}{{ " and " if not loop.first
}}{{ value | figure }} at {{ percent }} % specificity or more{% endfor %}, read off this curve: a
threshold for use has to be fixed on other patients.</figcaption>
</figure>
{% else %}
<section class="card">
<h2>Sensitivity and specificity</h2>
<p class="note">The ROC curve is drawn {{ "only where the pooled AUC is defined" if metrics.test
else "once the test set has been evaluated" }}.</p>
</section>
{% endif %}
"""

_SCORES: Final = """
{% if shown %}
<section class="card">
<h2>All six classes</h2>
<div class="scroll" tabindex="0"><table class="names">
<caption><span>{{ shown.split | capitalize }} patients of all hospitals, pooled.
{% if shown.evaluation.dice is not none %}
Mean Dice where blood was drawn: {{ shown.evaluation.dice | figure }}.
{% endif %}</span></caption>
<thead><tr><th scope="col">class</th><th scope="col" class="text">AUC (95 % CI)</th><th scope="col">positive</th>
{% for name in metrics.baselines %}
<th scope="col">{{ name | in_words }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for key, name in classes %}
{% set record = shown.evaluation.pooled[key] %}
<tr><th scope="row">{{ name }}</th>{{ auc(record) }}<td>{{ record.positives | thousands }}</td>
{% for baseline in metrics.baselines.values() %}
{% set theirs = baseline.test.pooled[key].auc %}
<td>{{ "–" if theirs is none else theirs | figure(3) }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
</section>
{% endif %}
{% if tests %}
<section class="card">
<h2>Test sets of their own</h2>
<div class="scroll" tabindex="0"><table class="names">
<caption><span>Any hemorrhage. Nobody trained on held-out patients: random ones are as they came, enriched ones
chosen for blood.</span></caption>
<thead><tr><th scope="col">set</th><th scope="col" class="text">AUC (95 % CI)</th><th scope="col">studies</th>
<th scope="col">positive</th>
{% for name in metrics.baselines %}
<th scope="col">{{ name | in_words }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for set in tests %}
<tr><th scope="row">{{ set.name }}</th>{{ auc(set.record) }}<td>{{ set.record.studies | thousands }}</td>
<td>{{ set.record.positives | thousands }}</td>
{% for theirs in set.others %}
<td>{{ "–" if theirs is none or theirs.auc is none else theirs.auc | figure(3) }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
<p class="note">
{%- for set in tests[1:] %}{{ "; " if not loop.first }}{{ set.name }}: {{ set.hospitals | join(", ") }}{% endfor %}.</p>
</section>
{% else %}
{{ dealt }}
{% endif %}
</div>
<section class="card wide">
<h2>Hospitals</h2>
<div class="scroll" tabindex="0"><table>
<caption><span>Any hemorrhage, {{ shown.split if shown else "validation" }} patients; how many studies each hospital
trained on, and how its rounds went.</span></caption>
<thead><tr><th scope="col">hospital</th><th scope="col" class="text">AUC (95 % CI)</th><th scope="col">studies</th>
<th scope="col">positive</th><th scope="col">trained on</th><th scope="col" class="text">took part in</th></tr></thead>
<tbody>
{% for row in site_rows %}
<tr><th scope="row">{{ row.name }}</th>
{% if row.record %}
{{ auc(row.record) }}<td>{{ row.record.studies | thousands }}</td><td>{{ row.record.positives | thousands }}</td>
{% else %}
<td class="text why undefined">{{ row.reason }}</td><td>–</td><td>–</td>
{% endif %}
<td>{{ row.trained | thousands }}</td>
<td class="text why{{ "" if row.well else " bad" }}">{{ row.status }}</td></tr>
{% endfor %}
{% if shown %}
<tr class="pooled"><th scope="row">All patients</th>{{ auc(shown.record) }}
<td>{{ shown.record.studies | thousands }}</td><td>{{ shown.record.positives | thousands }}</td>
<td>{{ site_rows | sum(attribute="trained") | thousands }}</td><td></td></tr>
{% endif %}
</tbody></table></div>
{% if metrics.not_admitted %}
<p class="note bad">Not admitted at the roll call:
{% for name, code in metrics.not_admitted.items() %}
{{ ", " if not loop.first }}{{ name }} ({{ code | in_words }})
{%- endfor %}.</p>
{% endif %}
</section>
"""

_LEDGER: Final = """
<section class="card wide">
<h2>Is all the data used?</h2>
{% if totals %}
<p>
{% for plural, used, found in totals %}
{{ ", " if not loop.first }}<strong>{{ used | thousands }} of {{ found | thousands }} {{ plural }}</strong>
{%- endfor %}
 are used. Every other one has its reason below; which one it is, only the hospital's own ledger says.</p>
<div class="scroll" tabindex="0"><table>
<caption><span>Data ledger: what became of everything found at each hospital.</span></caption>
<thead><tr><th scope="col">hospital</th><th scope="col" class="text">kind</th><th scope="col">found</th>
<th scope="col">used</th><th scope="col" class="text">skipped by a rule</th>
<th scope="col" class="text">quarantined as faulty</th>
<th scope="col" class="text">used, with a remark</th></tr></thead>
{% for site, rows in ledger | groupby("site") %}
<tbody class="group">
{% for row in rows %}
<tr>
{% if loop.first %}
<th scope="rowgroup" rowspan="{{ rows | length }}">{{ site }}</th>
{% endif %}
<td class="text">{{ row.kind }}</td><td>{{ row.found | thousands }}</td><td>{{ row.used | thousands }}</td>
<td class="text why">{{ reasons(row.skipped) }}</td><td class="text why bad">{{ reasons(row.quarantined) }}</td>
<td class="text why">{{ reasons(row.remarks) }}</td></tr>
{% endfor %}
</tbody>
{% endfor %}
</table></div>
{% else %}
<p class="note">No hospital reported its ledger.</p>
{% endif %}
</section>
"""

_ROUNDS: Final = """
<section class="card wide">
<h2>Rounds</h2>
{% if metrics.rounds %}
<div class="scroll" tabindex="0"><table class="rounds">
<caption><span>The AUC is that of all validation patients; loss is the mean of the round's local steps.</span></caption>
<thead><tr><th scope="col">round</th><th scope="col" class="text">AUC (95 % CI)</th><th scope="col">Dice</th>
<th scope="col">loss</th><th scope="col">seconds</th><th scope="col">hospitals</th>
<th scope="col" class="text">lost this round</th></tr></thead>
<tbody>
{% for entry in metrics.rounds %}
{% set lost = entry.sites.items() | rejectattr("1.status", "equalto", "ok") | list %}
<tr><th scope="row">{{ entry.round }}</th>
{{ auc(entry.validation.any_hemorrhage) }}<td>{{ "–" if entry.dice is none else entry.dice | figure }}</td>
<td>{{ "–" if entry.train_loss is none else "{:.3f}".format(entry.train_loss) }}</td>
<td>{{ "{:,.1f}".format(entry.seconds) }}</td>
<td>{{ entry.sites | length - lost | length }} of {{ entry.sites | length }}</td>
<td class="text why bad">
{% for name, site in lost %}
{{ ", " if not loop.first }}{{ name }}: {{ (site.reason or site.status) | in_words }}
{%- endfor %}
</td></tr>
{% endfor %}
</tbody></table></div>
{% else %}
<p class="note">No round has been finished yet.</p>
{% endif %}
</section>
"""

_METHOD: Final = """
<section class="card wide">
<h2>How these figures came about</h2>
<p>Each hospital counts its positive and negative studies on fixed bins of the score and sends the counts; the
coordinator adds them. The AUC of the sum is the AUC of all patients together, exact on the binned scores
{%- if shown and shown.record.error_bound is not none %}; binning can have moved it by at most
{{ "{:.1e}".format(shown.record.error_bound) }}{% endif %}. Intervals are DeLong's, from the same counts, formed on the
logit scale.</p>
<p>The mean of the hospitals' own AUCs is another quantity, and is not printed as the federated AUC. A figure that does
not exist for the data is called undefined, with the reason; it is never replaced by a number.</p>
{% if metrics.baselines %}
<p>Baselines are scored on the same patients, so their intervals are not independent of the federated one; the
difference printed above is not a test.</p>
{% endif %}
</section>
<section class="card wide">
<details><summary>Resolved settings</summary><pre>{{ settings }}</pre></details>
</section>
"""

BODY: Final = f"""{_MACROS}
{_TOP}
<div class="cards">
{_FIGURES}{_SCORES}{_LEDGER}{_ROUNDS}{_METHOD}
</div>
"""
"""Jinja2 source of what `bloodnet_model.page` frames."""
