"""Of the report's body: was federating worth it, how well scores separate, and hospital by hospital."""

from typing import Final

WORTH: Final = """
{% if metrics.comparisons or metrics.baselines %}
<section id="worth">
<h2>Was federating worth it?</h2>
<div class="pair">
{{ drawn("differences-all") }}
{{ drawn("differences-own") }}
{{ drawn("differences-others") }}
{% if metrics.baselines %}
<div class="table"><h3>Other ways of training</h3>
<div class="scroll" tabindex="0"><table class="names">
<caption><span>Test patients of all hospitals, any hemorrhage. These intervals are not paired: two that overlap can
differ all the same.</span></caption>
<thead><tr><th scope="col">way</th><th scope="col" class="text">AUC (95 % CI)</th><th scope="col">steps</th></tr>
</thead>
<tbody>
{% if metrics.test %}
<tr class="pooled"><th scope="row">federated</th>{{ auc(metrics.test.any_hemorrhage) }}<td></td></tr>
{% endif %}
{% for name, baseline in metrics.baselines.items() %}
<tr><th scope="row">{{ name | in_words }}</th>{{ auc(baseline.test.any_hemorrhage) }}
<td>{{ "–" if baseline.steps is none else baseline.steps | thousands }}</td></tr>
{% endfor %}
</tbody></table></div></div>
{% endif %}
</div>
{% if metrics.comparisons %}
<div class="table"><h3>Pair by pair</h3>
<div class="scroll{{ " tall" if metrics.comparisons | length > 14 }}" tabindex="0"><table>
<caption><span>AUC of any hemorrhage of two models on the same patients. “Not inferior”: the whole paired interval lies
above minus the margin.</span></caption>
<thead><tr><th scope="col">models</th><th scope="col" class="text">patients</th><th scope="col">studies</th>
<th scope="col">first</th><th scope="col">second</th><th scope="col" class="text">difference (paired 95 % CI)</th>
<th scope="col">margin</th><th scope="col" class="text">verdict</th></tr></thead>
<tbody>
{% for one in metrics.comparisons %}
<tr><th scope="row" class="ci">{{ one.first }} − {{ one.second }}</th>
<td class="text">{{ "all" if one.patients == "all" else one.patients }}</td><td>{{ one.studies | thousands }}</td>
<td>{{ "–" if one.auc_first is none else one.auc_first | figure(3) }}</td>
<td>{{ "–" if one.auc_second is none else one.auc_second | figure(3) }}</td>
{% if one.delta is none %}
<td class="text why undefined">{{ one.undefined or "undefined" }}</td>
{% else %}
<td class="text">{{ one.delta | signed }} <span class="ci">
{%- if one.low is not none %}({{ one | signed_span }}){% else %}{{ one.undefined }}{% endif %}</span></td>
{% endif %}
<td>{{ one.margin }}</td><td class="text ci">{{ one | verdict }}</td></tr>
{% endfor %}
</tbody></table></div></div>
{% endif %}
</section>
{% endif %}
"""

SEPARATION: Final = """
<section id="separation">
<h2>How well do scores tell bleeds from the rest?</h2>
{% if "roc" in plots %}
<div class="pair">
{{ drawn("roc") }}
{{ drawn("precision-recall") }}
</div>
{% else %}
<p class="note">The ROC curve is drawn {{ "only where the pooled AUC is defined" if metrics.test
else "once the test set has been evaluated" }}.</p>
{% endif %}
{% if shown %}
<div class="table"><h3>All six classes</h3>
<div class="scroll" tabindex="0"><table class="names">
<caption><span>{{ shown.split | capitalize }} patients of all hospitals, pooled.
{% if shown.evaluation.dice is not none %}
Mean Dice where blood was drawn: {{ shown.evaluation.dice | figure }}.
{% endif %}</span></caption>
<thead><tr><th scope="col">class</th><th scope="col" class="text">AUC (95 % CI)</th>
<th scope="col" class="text">AUPRC (95 % CI)</th><th scope="col">positive</th><th scope="col">studies</th>
{% for name in metrics.baselines %}
<th scope="col">AUC, {{ name | in_words }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for key, name in classes %}
{% set record = shown.evaluation.pooled[key] %}
<tr><th scope="row">{{ name }}</th>{{ auc(record) }}<td class="text ci">{{ record | precision }}</td>
<td>{{ record.positives | thousands }}</td><td>{{ record.studies | thousands }}</td>
{% for baseline in metrics.baselines.values() %}
{% set theirs = baseline.test.pooled[key].auc %}
<td>{{ "–" if theirs is none else theirs | figure(3) }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div></div>
{% endif %}
{% if tests %}
<div class="table"><h3>Test sets of their own</h3>
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
</div>
{% endif %}
</section>
"""

HOSPITALS: Final = """
<section id="hospitals">
<h2>Does it hold at every hospital?</h2>
<div class="pair">
{{ drawn("hospitals") }}
{{ drawn("groups") }}
{% if shown and shown.evaluation.groups %}
<div class="table"><h3>Groups</h3>
<div class="scroll" tabindex="0"><table>
<caption><span>Any hemorrhage, {{ shown.split }} patients, as the hospitals declare them. Groups from which a small one
could be worked out are not shown.</span></caption>
<thead><tr><th scope="col">group</th><th scope="col" class="text">AUC (95 % CI)</th><th scope="col">studies</th>
<th scope="col">positive</th></tr></thead>
<tbody>
{% for name, record in shown.evaluation.groups.items() %}
<tr><th scope="row">{{ name }}</th>{{ auc(record) }}<td>{{ record.studies | thousands }}</td>
<td>{{ record.positives | thousands }}</td></tr>
{% endfor %}
</tbody></table></div></div>
{% endif %}
<div class="table"><h3>Hospitals</h3>
<div class="scroll" tabindex="0"><table>
<caption><span>Any hemorrhage, {{ shown.split if shown else "validation" }} patients; how many studies each hospital
trained on.</span></caption>
<thead><tr><th scope="col">hospital</th><th scope="col" class="text">AUC (95 % CI)</th><th scope="col">studies</th>
<th scope="col">positive</th><th scope="col">trained on</th></tr></thead>
<tbody>
{% for row in site_rows %}
<tr><th scope="row">{{ row.name }}</th>
{% if row.record %}
{{ auc(row.record) }}<td>{{ row.record.studies | thousands }}</td><td>{{ row.record.positives | thousands }}</td>
{% else %}
<td class="text why undefined">{{ row.reason }}</td><td>–</td><td>–</td>
{% endif %}
<td>{{ row.trained | thousands }}</td></tr>
{% endfor %}
{% if shown and shown.evaluation.within_hospital %}
{% set within = shown.evaluation.within_hospital %}
<tr class="ruled"><th scope="row">Typical hospital</th>
{% if within.auc is none %}
<td class="text why undefined">{{ within.undefined or "undefined" }}</td>
{% else %}
<td class="text">{{ within.auc | figure(3) }}
{% if within.auc_low is not none %}<span class="ci">({{ within.auc_low | figure(3) }}–
{{- within.auc_high | figure(3) }})</span>{% endif %}</td>
{% endif %}
<td colspan="3" class="text why">another quantity: within hospitals, random effects over
{{ within.hospitals }}</td></tr>
{% endif %}
{% if shown %}
<tr class="pooled"><th scope="row">All patients</th>{{ auc(shown.record) }}
<td>{{ shown.record.studies | thousands }}</td><td>{{ shown.record.positives | thousands }}</td>
<td>{{ site_rows | sum(attribute="trained") | thousands }}</td></tr>
{% endif %}
</tbody></table></div></div>
</div>
{% if metrics.cross_site %}
{% set patients, models = cross_site %}
<div class="table"><h3>Hospital by hospital: whose model, whose patients</h3>
<p>{{ cross_site_reading }}</p>
<div class="scroll" tabindex="0"><table class="matrix">
<caption><span>AUC of any hemorrhage. A row is a model, a column the hospital whose test patients it scored; darker is
higher, and a frame with bold figures marks a hospital's own model at home; a dash: undefined for these patients.
{% if patients | length > 6 %}Columns: {% for name in patients %}{{ ", " if not loop.first }}{{ loop.index }}
{{ name }}{% endfor %}.{% endif %}</span></caption>
<thead><tr><th scope="col">model</th>
{% for name in patients %}
<th scope="col"{% if patients | length > 6 %} abbr="{{ name }}"{% endif %}>
{{- loop.index if patients | length > 6 else name }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for model, cells in models %}
<tr><th scope="row">{{ model }}</th>
{% for cell in cells %}
<td class="cell{{ " home" if cell.home }}" style="--shade: {{ cell.shade_percent }}">
{{- "–" if not cell.record or cell.record.auc is none else cell.record.auc | figure }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div></div>
{% endif %}
</section>
"""
