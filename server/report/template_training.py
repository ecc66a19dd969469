"""Of the report's body: how the training went, and which data it used."""

from typing import Final

TRAINING: Final = """
<section id="training">
<h2>How did the training go?</h2>
{% if metrics.rounds %}
<div class="pair">
{{ drawn("learning") }}
{{ drawn("attendance") }}
{{ drawn("answers") }}
{{ drawn("strides") }}
</div>
<div class="table"><h3>Who took part</h3>
<div class="scroll{{ " tall" if site_rows | length > 14 }}" tabindex="0"><table>
<caption><span>Updates that counted, of those that each hospital was asked for, and why others did not; seconds from
question to answer.</span></caption>
<thead><tr><th scope="col">hospital</th><th scope="col" class="text">updates that counted</th>
<th scope="col" class="text">lost</th><th scope="col">median s</th><th scope="col">longest s</th></tr></thead>
<tbody>
{% for row in site_rows %}
{% set there = row.attendance %}
<tr><th scope="row">{{ row.name }}</th><td class="text why">{{ there.took_part if there else "tests only" }}</td>
<td class="text why{{ " bad" if there and there.lost }}">{{ (there.why_lost if there) or "–" }}</td>
{% for seconds in (row.median_s, row.longest_s) %}
<td>{{ "–" if seconds is none else "{:,.1f}".format(seconds) }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
{% if metrics.not_admitted %}
<p class="note bad">Not in the run:
{% for name, code in metrics.not_admitted.items() %}
{{ ", " if not loop.first }}{{ code | refusal(name) }}
{%- endfor %}.</p>
{% endif %}
</div>
<div class="table"><h3>Rounds</h3>
<div class="scroll{{ " tall" if metrics.rounds | length > 14 }}" tabindex="0"><table class="rounds">
<caption><span>The AUC is that of all validation patients; loss is the mean of the round's local steps.</span></caption>
<thead><tr><th scope="col">round</th><th scope="col" class="text">AUC (95 % CI)</th><th scope="col">Dice</th>
<th scope="col">loss</th><th scope="col">seconds</th><th scope="col">updates</th>
<th scope="col" class="text">who was lost or not asked</th></tr></thead>
<tbody>
{% for entry in metrics.rounds %}
{% set of = dict(entry.sites.items() | groupby("1.status")) %}
{% set lost = of.get("refused", ()) %}
{% set asked = entry.sites | length - of.get("not-asked", ()) | length - of.get("set-aside", ()) | length %}
<tr><th scope="row">{{ entry.round }}{% if entry.round == chosen %} <span class="mark">chosen</span>{% endif %}</th>
{{ auc(entry.validation.any_hemorrhage) }}<td>{{ "–" if entry.dice is none else entry.dice | figure }}</td>
<td>{{ "–" if entry.train_loss is none else "{:.3f}".format(entry.train_loss) }}</td>
<td>{{ "{:,.1f}".format(entry.seconds) }}</td>
<td>{{ of.get("ok", ()) | length }} of {{ asked }}</td>
<td class="text why">
{% for name, site in lost %}
{{ ", " if not loop.first }}<span class="bad">{{ (site.reason or site.status) | refusal(name) }}</span>
{%- endfor %}
{% if of.get("set-aside") %}
<span class="of whole">set aside: {{ of["set-aside"] | map("first") | join(", ") }}</span>
{% endif %}
{% if of.get("not-asked") %}
<span class="of">{{ of["not-asked"] | length }} not drawn</span>
{% endif %}
{% if entry.readmitted %}
<span class="of whole">back: {{ entry.readmitted | join(", ") }}</span>
{% endif %}
</td></tr>
{% endfor %}
</tbody></table></div></div>
{% else %}
<p class="note">No round has been finished yet.</p>
{% endif %}
</section>
"""

DATA: Final = """
<section id="data">
<h2>Is all the data used?</h2>
{% if totals %}
<p>
{% for plural, used, found in totals %}
{{ ", " if not loop.first }}<strong>{{ used | thousands }} of {{ found | thousands }} {{ plural }}</strong>
{%- endfor %}
 are used. Every other one has its reason below; which one it is, only the hospital's own ledger says.</p>
<div class="scroll{{ " tall" if ledger | length > 24 }}" tabindex="0"><table>
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
{% if "partition" in plots %}
<div class="pair">
{{ drawn("partition") }}
<div class="table"><h3>What their labels are of</h3>
<div class="scroll" tabindex="0"><table>
<caption><span>Studies, by what is labelled in them; one with several kinds of hemorrhage counts in each column of the
figure.</span></caption>
<thead><tr><th scope="col">hospital</th><th scope="col">studies</th><th scope="col">patients</th>
<th scope="col" class="text">labels</th></tr></thead>
<tbody>
{% for name, share in metrics.partition.items() %}
<tr><th scope="row">{{ name }}{% if share.tests %} ({{ share.tests }} only){% endif %}</th>
<td>{{ share.studies | thousands }}</td><td>{{ share.patients | thousands }}</td>
<td class="text">{% for kind, count in share.labels.items() %}{{ ", " if not loop.first }}{{ count | thousands }}
{{ kind }}{% endfor %}</td></tr>
{% endfor %}
</tbody></table></div></div>
</div>
{% endif %}
</section>
"""
