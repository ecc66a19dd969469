"""The body of the comparison's page, in Jinja2."""

from typing import Final

from simulation.comparison.heat_table import HEAT_TABLE

_TOP: Final = """
{% macro row(name, one) %}
<tr><th>{{ name }}</th>
{% if one.delta is none %}
<td colspan="6" class="text undefined">{{ one.undefined }}</td>
{% else %}
<td>{{ one.auc_first | average }}</td><td>{{ one.auc_second | average }}</td><td>{{ "%+.3f" | format(one.delta) }}</td>
<td class="ci">{{ one.interval | pair }}</td><td class="ci">{{ one.patients_bootstrap | pair }}</td>
<td class="text why">{{ one | reading }}</td>
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
and on those of all others; lines as beside it. To the right of 0, the hospital gains by federating.</figcaption>
</figure>
</div>
<section class="card wide">
<h2>On all test patients</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr><th>{{ reference }} against</th><th>{{ reference }}</th><th>other</th><th>difference</th>
<th>patients and trainings</th><th>patients, bootstrap</th>
<th class="text">{{ reference }} is</th></tr></thead>
<tbody>{% for name, one in against.items() %}{{ row(name, one) }}{% endfor %}</tbody></table></div>
</section>
"""

_REST: Final = """
<section class="card wide">
<h2>What each hospital gains or loses</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr><th>hospital alone, on</th><th>{{ reference }}</th><th>alone</th><th>difference</th>
<th>patients and trainings</th><th>patients, bootstrap</th>
<th class="text">{{ reference }} is</th></tr></thead>
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

BODY: Final = _TOP + HEAT_TABLE + _REST
