"""The body of the report's page. It stands in Python files because Flower's app bundle carries no templates."""

from typing import Final

from server.report.template_scores import HOSPITALS, SEPARATION, WORTH
from server.report.template_training import DATA, TRAINING
from server.report.template_use import CALIBRATION, SEGMENTATION, THRESHOLD

MACROS: Final = """
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
{% macro drawn(name) %}
{% if name in plots %}
{% set plot = plots[name] %}
<figure id="figure-{{ name }}">
<h3>{{ plot.title }}</h3>
{{ plot.inline() | safe }}
<figcaption><p class="reading">{{ plot.reading }}</p>
{% if plot.note %}<p class="note">{{ plot.note }}</p>{% endif %}
</figcaption>
</figure>
{% endif %}
{% endmacro %}
"""

_TOP: Final = """
<header>
<p class="eyebrow">BloodNet federation · run {{ metrics.run.name }}</p>
{% if metrics.run.data == "synthetic" %}
<p class="banner" role="note">Synthetic heads: this tests the plumbing; it is not clinical accuracy.</p>
{% endif %}
<h1>{{ headline.what }} <strong>{{ headline.value }}</strong>{{ headline.patients }}</h1>
{% if answers %}
<dl class="answers">
{% for answer in answers %}
<div><dt>{{ answer.asked }}</dt><dd>{{ answer.said }}</dd></div>
{% endfor %}
</dl>
{% endif %}
{% if shown and shown.coarse %}
<p class="note">Counting scores on bins can have moved this AUC by up to
{{ shown.record.error_bound | figure }}, true ties included: the scores lie close together, or hospitals gave coarse
counts of few patients.</p>
{% endif %}
<dl class="facts">
<div><dt>Strategy</dt><dd>{{ metrics.run.strategy }}</dd></div>
<div><dt>Rounds</dt><dd>{{ metrics.rounds | length }} of {{ metrics.run.rounds }}
{%- if metrics.selection and metrics.selection.stopped_early %}, stopped early{% endif %}</dd></div>
<div><dt>Hospitals</dt><dd>{{ metrics.sites | length }}</dd></div>
{% for plural, used, found in totals[:1] %}
<div><dt>{{ plural | capitalize }} used</dt><dd>{{ used | thousands }} of {{ found | thousands }}</dd></div>
{% endfor %}
<div><dt>Network</dt><dd>{{ metrics.run.preset }}, {{ metrics.run.link }}</dd></div>
<div><dt>Parameters</dt><dd>{{ metrics.run.parameters | thousands }}</dd></div>
<div><dt>Seed</dt><dd>{{ metrics.run.seed }}</dd></div>
</dl>
<nav aria-label="Contents"><ul>
{% for anchor, name in contents %}
<li><a href="#{{ anchor }}">{{ name }}</a></li>
{% endfor %}
</ul></nav>
</header>
"""

_METHOD: Final = """
<section id="method">
<h2>How these figures came about</h2>
<p>Each hospital counts its positive and negative studies on fixed bins of the score and sends the counts; the
coordinator adds them. The AUC of the sum is the AUC of all patients together, exact on the binned scores
{%- if shown and shown.record.error_bound is not none %}; binning can have moved it by at most
{{ "{:.1e}".format(shown.record.error_bound) }}{% endif %}. Intervals are DeLong's, from the same counts, formed on the
logit scale; those of shares are Wilson's; those of differences are DeLong's for the same patients.</p>
<p>The mean of the hospitals' own AUCs is another quantity, and is not printed as the federated AUC. A figure that does
not exist for the data is called undefined, with the reason; it is never replaced by a number.</p>
{% if metrics.baselines %}
<p>Baselines are scored on the same patients, so their intervals are not independent of the federated one; a difference
of two AUCs without a paired interval is not a test.</p>
{% endif %}
{% if missing %}
<p>{{ missing }}</p>
{% endif %}
<div class="table"><h3>Run, seed and versions</h3>
<table class="words">
<caption><span>What a repetition needs beside the settings below.</span></caption>
<thead><tr><th scope="col">what</th><th scope="col" class="text">value</th></tr></thead>
<tbody>
<tr><th scope="row">Data</th><td>{{ metrics.run.data }}</td></tr>
<tr><th scope="row">Seed of the run</th><td>{{ metrics.run.seed }}; every other seed is derived from it, site and
round</td></tr>
<tr><th scope="row">Began from</th><td>{{ metrics.run.start or "random weights of this seed" }}</td></tr>
{% for name, version in metrics.run.versions.items() %}
<tr><th scope="row">{{ name }}</th><td>{{ version }}</td></tr>
{% endfor %}
{% for version, names in site_versions %}
<tr><th scope="row">Software at {{ names | length }} hospital{{ "s" if names | length != 1 }}</th>
<td>{{ version }} ({{ names | join(", ") }})</td></tr>
{% endfor %}
</tbody></table></div>
<details class="table"><summary>Resolved settings</summary><pre>{{ settings }}</pre></details>
</section>
"""

BODY: Final = (
    f"{MACROS}{_TOP}{WORTH}{SEPARATION}{HOSPITALS}{THRESHOLD}{CALIBRATION}{SEGMENTATION}{TRAINING}{DATA}{_METHOD}"
)
"""Jinja2 source of what `bloodnet_model.page` frames."""
