"""Of the report's body: at a threshold, whether scores are probabilities, and the masks."""

from typing import Final

THRESHOLD: Final = """
{% macro share(one) %}
<td>{{ "–" if one.value is none else one.value | figure }}
{% if one.low is not none %}<span class="ci">({{ one.low | figure }}–{{ one.high | figure }})</span>{% endif %}
<span class="of">{{ one.count | thousands }} of {{ one.of | thousands }}</span></td>
{% endmacro %}
{% macro rates_row(name, rates, mark="") %}
<tr{% if mark %} class="{{ mark }}"{% endif %}><th scope="row">{{ name }}</th>
{{ share(rates.sensitivity) }}{{ share(rates.specificity) }}{{ share(rates.ppv) }}{{ share(rates.npv) }}</tr>
{% endmacro %}
<section id="threshold">
<h2>What happens at a threshold?</h2>
{% if shown and shown.evaluation.operating %}
<div class="pair">
{{ drawn("flagged") }}
{% set first = shown.evaluation.operating[0] %}
{% if first.at_prevalence %}
<div class="table"><h3>Where hemorrhage is rarer or more common</h3>
<div class="scroll" tabindex="0"><table>
<caption><span>From the pooled sensitivity and specificity at a score of {{ first.threshold | figure(3) }} or
more.</span></caption>
<thead><tr><th scope="col">of 100 patients bleed</th><th scope="col">of 100 flagged bleed (PPV)</th>
<th scope="col">of 100 not flagged do not bleed (NPV)</th></tr></thead>
<tbody>
{% for row in first.at_prevalence %}
<tr><th scope="row">{{ row.prevalence | per_hundred }}</th>
<td>{{ "–" if row.ppv is none else row.ppv | per_hundred }}</td>
<td>{{ "–" if row.npv is none else row.npv | per_hundred }}</td></tr>
{% endfor %}
</tbody></table></div></div>
{% endif %}
</div>
{% for one in shown.evaluation.operating %}
<div class="table"><h3>A score of {{ one.threshold | figure(3) }} or more</h3>
<div class="scroll{{ " tall" if one.sites | length > 10 }}" tabindex="0"><table>
<caption><span>Chosen on validation patients for a {{ one.target }} of {{ one.wanted | figure }}
{%- if shown.split == "test" %}, then applied to test patients{% else %}: the same patients as below, so these rates
flatter it{% endif %}. In brackets Wilson's 95 % interval.</span></caption>
<thead><tr><th scope="col">patients</th><th scope="col">sensitivity</th><th scope="col">specificity</th>
<th scope="col">PPV</th><th scope="col">NPV</th></tr></thead>
<tbody>
{{ rates_row("validation, chosen on", one.chosen_on) }}
{% for name, rates in one.sites.items() %}
{{ rates_row(name, rates, "ruled" if loop.first else "") }}
{% endfor %}
{{ rates_row("All patients", one.pooled, "pooled") }}
</tbody></table></div></div>
{% endfor %}
{% else %}
<p class="note">No threshold has been chosen on validation patients{{ " yet" if not metrics.test }}.</p>
{% endif %}
</section>
"""

CALIBRATION: Final = """
<section id="calibration">
<h2>Can a score be read as a probability?</h2>
{% set calibration = shown.evaluation.calibration if shown else none %}
{% if calibration %}
<div class="pair">
{{ drawn("reliability") }}
<div class="table">
<p>{{ temperature }}</p>
<div class="scroll{{ " tall" if calibration.sites | length > 10 }}" tabindex="0"><table>
<caption><span>Brier: mean squared distance of score and truth. Expected error: mean distance of score and share that
bled. Both are 0 at best.</span></caption>
<thead><tr><th scope="col">scores</th><th scope="col">Brier</th><th scope="col">expected error</th></tr></thead>
<tbody>
<tr><th scope="row">as scored</th><td>{{ calibration.as_scored.brier | figure(3) }}</td>
<td>{{ calibration.as_scored.expected_error | figure(3) }}</td></tr>
{% if calibration.recalibrated %}
<tr class="pooled"><th scope="row">recalibrated</th><td>{{ calibration.recalibrated.brier | figure(3) }}</td>
<td>{{ calibration.recalibrated.expected_error | figure(3) }}</td></tr>
{% endif %}
{% for name, record in calibration.sites.items() %}
<tr{% if loop.first %} class="ruled"{% endif %}><th scope="row">{{ name }}, as scored</th>
<td>{{ record.brier | figure(3) }}</td><td>{{ record.expected_error | figure(3) }}</td></tr>
{% endfor %}
</tbody></table></div>
</div>
</div>
{% if calibration.as_scored.bins %}
<details class="table"><summary>The reliability figure as a table</summary>
<div class="scroll" tabindex="0"><table>
<caption><span>As scored, by bins of the score.</span></caption>
<thead><tr><th scope="col">score</th><th scope="col">studies</th><th scope="col">mean score</th>
<th scope="col">with hemorrhage</th><th scope="col">share</th></tr></thead>
<tbody>
{% for entry in calibration.as_scored.bins if entry.studies %}
<tr><th scope="row">{{ entry.low | figure }}–{{ entry.high | figure }}</th><td>{{ entry.studies | thousands }}</td>
<td>{{ entry.mean_score | figure }}</td><td>{{ entry.positives | thousands }}</td>
<td>{{ (entry.positives / entry.studies) | figure }}</td></tr>
{% endfor %}
</tbody></table></div></details>
{% endif %}
{% else %}
<p class="note">Calibration has not been counted{{ " yet" if not metrics.test }}.</p>
{% endif %}
</section>
"""

SEGMENTATION: Final = """
{% set masks = shown.evaluation.segmentation if shown else none %}
{% if masks %}
<section id="segmentation">
<h2>Are the outlines of blood right?</h2>
<div class="pair">
<div class="table">
<div class="scroll" tabindex="0"><table class="words">
<caption><span>{{ shown.split | capitalize }} patients of all hospitals.</span></caption>
<thead><tr><th scope="col">what</th><th scope="col" class="text">figure</th></tr></thead>
<tbody>
<tr><th scope="row">Overlap (Dice)</th><td>
{% if masks.dice is none %}no study has drawn blood{% else %}{{ masks.dice | figure }} on average in
{{ masks.dice_studies | thousands }} studies with drawn blood; 1 is the same outline{% endif %}</td></tr>
<tr><th scope="row">Outlined where there is no blood</th><td>
{% if masks.false_positive_ml is none %}no study without hemorrhage{% else %}
{{ "{:.1f}".format(masks.false_positive_ml) }} ml on average in {{ masks.negatives | thousands }} studies without
hemorrhage{% endif %}</td></tr>
{% if masks.volume %}
<tr><th scope="row">Volume, outlined minus drawn</th><td>{{ masks.volume.mean_difference_ml | signed(1) }} ml on average
in {{ masks.volume.studies | thousands }} studies
{%- if masks.volume.low_ml is not none %}; limits of agreement {{ masks.volume.low_ml | signed(1) }} to
{{ masks.volume.high_ml | signed(1) }} ml{% endif %}</td></tr>
{% endif %}
{% if masks.called is not none %}
<tr><th scope="row">Called, but nothing outlined</th><td>{{ masks.called_without_mask | thousands }} of
{{ masks.called | thousands }} studies scored {{ masks.threshold | figure(3) }} or more have an empty mask</td></tr>
{% endif %}
{% if masks.not_called is not none %}
<tr><th scope="row">Outlined, but not called</th><td>{{ masks.mask_without_call | thousands }} of
{{ masks.not_called | thousands }} studies scored less have a mask</td></tr>
{% endif %}
</tbody></table></div></div>
{{ drawn("volume") }}
</div>
</section>
{% endif %}
"""
