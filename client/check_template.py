"""The body of the preflight's page. It stands in a Python file because Flower's app bundle carries no templates."""

from typing import Final

_TOP: Final = """
{% set tone = {"ready": "good", "ready with warnings": "warn", "not ready": "pooled"}[preflight.verdict] %}
<header>
<p class="eyebrow">BloodNet federation · preflight of {{ preflight.site }}</p>
<h1>This site is <strong style="color: var(--{{ tone }})">{{ preflight.verdict }}</strong></h1>
<p class="banner" role="note">This page shows pictures of patients and the numbers of their studies. It stays in the
hospital; <code>bloodnet-client check --json</code> prints what is fit to send.</p>
<p class="lead">Is all the data used? {{ preflight.summary[0] | upper }}{{ preflight.summary[1:] }}</p>
<dl>
<div><dt>Labelled studies usable</dt>
<dd>{{ preflight.coverage.usable | thousands }} of {{ preflight.coverage.labelled | thousands }}
{% if preflight.coverage.labelled %}({{ "%.0f" | format(100 * preflight.coverage.share) }} %){% endif %}</dd></div>
<div><dt>Pixels read</dt>
<dd>{{ preflight.examined | thousands }} of {{ preflight.candidates | thousands }} studies</dd></div>
<div><dt>Files with a patient's name</dt><dd>{{ preflight.identified | thousands }}</dd></div>
<div><dt>Files with burned-in writing</dt><dd>{{ preflight.burned_in | thousands }}</dd></div>
<div><dt>Device</dt><dd>
{% if preflight.machine.gpu %}
{{ preflight.machine.gpu }}, {{ preflight.machine.gpu_memory_bytes | in_bytes }}
{% else %}
no GPU
{% endif %}
</dd></div>
<div><dt>bfloat16</dt><dd>{{ "native" if preflight.machine.bfloat16 else "not native; float32 is used" }}</dd></div>
<div><dt>Processor</dt><dd>{{ preflight.machine.cores }} {{ "core" if preflight.machine.cores == 1 else "cores" }}
{%- if preflight.machine.memory_bytes %}, {{ preflight.machine.memory_bytes | in_bytes }}{% endif %}</dd></div>
<div><dt>Disk for the cache</dt>
<dd>{{ preflight.needed_bytes | in_bytes }} needed, {{ preflight.machine.free_bytes | in_bytes }} free</dd></div>
</dl>
</header>
"""

_FINDINGS: Final = """
<section class="card wide">
<h2>What to know, and what to do</h2>
{% if preflight.findings %}
<div class="scroll"><table>
<tbody>
{% for finding in preflight.findings %}
<tr><th class="level {{ finding.level }}">{{ finding.level }}</th><td class="text">{{ finding.text }}</td></tr>
{% endfor %}
</tbody>
</table></div>
{% else %}
<p>Nothing: every file could be read, and nothing is odd.</p>
{% endif %}
</section>
"""

_SPLITS: Final = """
<section class="card wide">
<h2>Studies that can be used</h2>
<div class="scroll"><table>
<caption><span>All studies of one patient are in one split.</span></caption>
<thead><tr><th class="text">Split</th><th>Patients</th><th>Studies</th><th>With hemorrhage</th><th>Without</th>
<th>Unknown</th></tr></thead>
<tbody>
{% for split in preflight.splits %}
<tr><th>{{ split.split }}</th><td>{{ split.patients | thousands }}</td><td>{{ split.studies | thousands }}</td>
<td>{{ split.positive | thousands }}</td><td>{{ split.negative | thousands }}</td>
<td>{{ (split.studies - split.positive - split.negative) | thousands }}</td></tr>
{% endfor %}
</tbody>
</table></div>
</section>
"""

_SAMPLES: Final = """
{% if samples %}
<section class="card wide">
<h2>A look at some studies</h2>
<p class="note">From the lowest slice to the highest, as the network sees them; blood of masks is outlined in red. Each
head should stand upright and in the middle. Beside it, how many voxels have which HU: a head has air at the left edge,
a peak at the brain's 30 HU, just left of the shaded range of fresh blood (50 to 90), and a low tail of bone.</p>
{% for sample, picture, histogram in samples %}
<figure class="sample">
<figcaption><strong>{{ sample.said }}</strong>{% if sample.reason %} ({{ sample.reason }}){% endif %},
{{ sample.detail }} · <span class="uid">{{ sample.uid }}</span></figcaption>
<img src="{{ picture }}" alt="Slices of a study, {{ sample.said }}">
{{ histogram }}
</figure>
{% endfor %}
</section>
{% endif %}
"""

_REASONS: Final = """
{% if rows %}
<section class="card wide">
<h2>Reasons</h2>
<div class="scroll"><table>
<caption><span>What was not used as it is, of the {{ preflight.entries | length | thousands }} lines of the ledger.
Quarantined: something is broken, and somebody can mend it. Skipped: a rule leaves it out.
Used: with this remark.</span></caption>
<thead><tr><th class="text">What</th><th>Lines</th><th class="text">Reason</th><th class="text">Meaning and remedy</th>
</tr></thead>
{% for row in rows %}
<tbody class="group"><tr>
<th>{{ row.kind }}<br><span class="note {{ "bad" if row.status == "quarantined" }}">{{ row.status }}</span></th>
<td>{{ row.count | thousands }}</td><td class="text"><code>{{ row.reason }}</code></td>
<td class="text">{{ row.meaning }}{% if row.remedy %} <strong>{{ row.remedy }}</strong>{% endif %}
<details><summary>{{ "examples" if row.count > 1 else "which" }}</summary><ul>
{% for entry in row.examples %}
<li><code>{{ entry.item }}</code>{% if entry.detail %}: {{ entry.detail }}{% endif %}</li>
{% endfor %}
</ul></details></td></tr></tbody>
{% endfor %}
</table></div>
<p class="note">Every line is in check.csv, beside this page.</p>
</section>
{% endif %}
"""

STYLE: Final = """
code { font-size: .85em; overflow-wrap: anywhere; }
.level { white-space: nowrap; text-transform: capitalize; }
.level.problem { color: var(--pooled); } .level.warning { color: var(--warn); } .level.note { color: var(--muted); }
td.text { max-width: 80ch; }
td summary { font-weight: 400; color: var(--muted); font-size: .8125rem; }
td ul { margin: 4px 0 0; padding-left: 1.2em; font-size: .875rem; }
.sample { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 320px); gap: 4px 16px; margin-top: 14px;
  align-items: center; }
.sample figcaption { grid-column: 1 / -1; }
.sample figcaption strong { color: var(--ink); }
.sample img { width: 100%; border-radius: 4px; display: block; background: #000; }
.sample svg { margin: 0; }
.uid { font-size: .75rem; overflow-wrap: anywhere; }
@media (max-width: 760px) { .sample { grid-template-columns: minmax(0, 1fr); } }
"""

BODY: Final = f"""{_TOP}
<div class="cards">
{_FINDINGS}{_SPLITS}{_SAMPLES}{_REASONS}
</div>
"""
"""Jinja2 source of what `bloodnet_model.page` frames."""
