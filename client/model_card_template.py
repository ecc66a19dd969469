"""The model card as a Jinja2 template in Markdown; what nobody knows reads `unknown`."""

from typing import Final

CARD: Final = """\
# Model card: BloodNet, {{ manifest.preset }}

**Research software, no medical device.** {{ caution }}

## What it is

A network that scores a head CT without contrast for intracranial hemorrhage of any kind and of five kinds, and outlines
the blood (BloodNet-style, after Bar et al., arXiv 1907.00148).

| | |
|---|---|
| preset, link | {{ manifest.preset }}, {{ manifest.link }} |
| parameters | {{ "{:,}".format(parameters) }} |
| norm, mask channels | {{ settings.network.norm }}, {{ settings.network.mask_channels }} |
| input | {{ grid.rows }} x {{ grid.columns }} pixels of {{ "%g" % grid.spacing_mm }} mm around the head's middle, \
windows {{ windows }} HU, {{ settings.network.neighbours }} slice{{ "" if settings.network.neighbours == 1 else "s" }} \
on either side |
| format | {{ runtime }}: {{ graphs }}; float32 |
| agreement | probabilities {{ agreement }}, tried on noise |
| weights | SHA-256 `{{ manifest.weights }}` |
| written by | bloodnet-federation {{ version }}, {{ libraries }} |

## What it was trained on

{% if record %}
| | |
|---|---|
| run | {{ record.run.name | cell }} |
| data | {{ data | cell }} |
| strategy | {{ record.run.strategy | cell }}, {{ record.rounds | length }} of {{ record.run.rounds }} rounds, \
seed {{ record.run.seed }} |
| started from | {{ (record.run.start or "random weights") | cell }} |

Studies by split, with hemorrhage in brackets:

| site | train | validation | test | labels |
|---|---|---|---|---|
{% for site in sites %}
| {{ site.name }} | {{ site.splits | join(" | ") }} | {{ site.labels or "unknown" }} |
{% endfor %}
{% else %}
Unknown: {{ why_unknown }}
{% endif %}

## How well it tells

{% for part in evaluations %}
{{ part.title }}:

| {{ part.by }} | studies | positive | AUC | 95 % interval |
|---|---|---|---|---|
{% for row in part.rows %}
| {{ row.name }} | {{ row.studies }} | {{ row.positives }} | {{ row.auc }} | {{ row.interval }} |
{% endfor %}

{% else %}
Unknown: {{ why_untested }}

{% endfor %}
{% if dice is not none %}
Mean Dice of the blood in test studies that have it drawn: {{ "%.2f" % dice }}.

{% endif %}
## Thresholds

{% if thresholds %}
A study is flagged if its score is the threshold or more. Thresholds were chosen on validation patients, whom nobody
trained on, for a sensitivity to hemorrhage of any kind; test patients had no part in the choice.

| wanted | threshold | sensitivity, validation | specificity, validation | sensitivity, test | specificity, test |
|---|---|---|---|---|---|
{% for row in thresholds %}
| {{ row.wanted }}{{ " (used)" if row.used }} | {{ row.threshold }} | {{ row.cells | join(" | ") }} |
{% endfor %}
{% else %}
Unknown: {{ why_no_threshold }} `bloodnet-client triage` flags from 0.5 on and says that this was never chosen.
{% endif %}

## Intended use

Research on the order in which head CTs are read. Every study is read by a person; the score says which first.
Not for diagnosis, not to rule hemorrhage out, and not to leave a study unread.

## Limits

- Nobody has reviewed it as a medical device.
- Scores are no calibrated probabilities, and a threshold holds for patients and scanners like those it was chosen on.
- Volumes are those of the blood as outlined on a {{ "%g" % (2 * grid.spacing_mm) }} mm grid; nobody has validated them.
- Of a study, one axial series without contrast is scored, without the slices that cannot be read; triage says so.
"""
