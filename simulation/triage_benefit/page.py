"""The page of a triage simulation: the answer, who pays for it, and every assumption; one HTML file."""

from typing import Final

from markupsafe import Markup

from bloodnet_model.metrics import summary
from bloodnet_model.page import render_page
from bloodnet_model.run_metrics import AucRecord
from server.wording import figure, interval
from simulation.triage_benefit.benefit import GROUPS, WITHIN_MINUTES, Benefit
from simulation.triage_benefit.figures import means_plot, waiting_plot
from simulation.triage_benefit.wording import GROUPS as GROUP_WORDS
from simulation.triage_benefit.wording import (
    POLICIES,
    SIMPLIFIED,
    answer,
    assumptions,
    findings,
    minutes,
    number,
    percent,
    signed,
)

_STYLE: Final = """
td.source { color: var(--muted); font-size: .875rem; text-align: left; }
ul { margin: 0; padding-left: 1.2em; max-width: 75ch; }
li { margin-bottom: 6px; }
.waits td, .waits th { white-space: nowrap; max-width: none; }
.waits tbody th { border-bottom: 0; padding-top: 3px; padding-bottom: 3px; }
.waits th[scope=row], .assumed th { font-weight: 400; }
.waits th[scope=rowgroup] { padding-top: 10px; }
.waits tr:last-child > * { padding-bottom: 10px; }
.assumed th { min-width: 13em; }
"""

_BODY: Final = """
<header>
<p class="eyebrow">BloodNet federation · triage benefit</p>
{% if benefit.classifier.synthetic %}
<p class="banner" role="note">Synthetic heads: these scores test the plumbing, so the minutes say nothing clinical.</p>
{% endif %}
<h1>{{ headline.what }} <strong>{{ headline.value }}</strong> {{ headline.rest }}</h1>
{% for sentence in findings %}
<p class="lead">{{ sentence }}</p>
{% endfor %}
<dl>
{% if auc %}
<div><dt>Test AUC</dt><dd>{{ auc.auc | figure }}{% if auc | interval %} ({{ auc | interval }}){% endif %}</dd></div>
{% endif %}
<div><dt>Flag sensitivity</dt><dd>{{ benefit.classifier.sensitivity | figure }}</dd></div>
<div><dt>Flag specificity</dt><dd>{{ benefit.classifier.specificity | figure }}</dd></div>
<div><dt>Utilisation</dt><dd>{{ "{:.0f} %".format(100 * settings.utilisation) }}</dd></div>
<div><dt>Simulated</dt><dd>{{ settings.replications }} × {{ "{:g}".format(settings.days) }} days</dd></div>
<div><dt>Studies</dt><dd>{{ "{:,}".format(benefit.studies) }}</dd></div>
<div><dt>Seed</dt><dd>{{ settings.seed }}</dd></div>
</dl>
</header>
<div class="cards">
<figure class="card">
<h2>How many are being read by when</h2>
{{ waiting }}
<figcaption>Where the curves begin, a radiologist was free. Every simulated ICH-positive study is in them.</figcaption>
</figure>
<figure class="card">
<h2>Who waits how long</h2>
{{ means }}
<figcaption>Not flagged are the ICH-positive studies below the threshold, the same ones under every
policy; the lines are the means of first come, first served.</figcaption>
</figure>
<section class="card wide">
<h2>Minutes from arrival to the start of reading</h2>
<div class="scroll" tabindex="0"><table class="waits">
<caption><span>With 95 % intervals; the difference is to first come, first served on the same studies. Reading itself
takes {{ "{:g}".format(settings.reading_minutes) }} minutes more under every policy.</span></caption>
<thead><tr><th scope="col">worklist</th><th scope="col">mean</th>
<th scope="col">difference</th><th scope="col">median</th><th scope="col">95th percentile</th>
{% for limit in within %}
<th scope="col">within {{ limit }} min</th>
{% endfor %}
</tr></thead>
{% for group in groups %}
<tbody class="group">
<tr><th scope="rowgroup" colspan="{{ 5 + within | length }}">{{ group_words[group] }}</th></tr>
{% for policy, outcomes in benefit.outcomes.items() %}
{% set outcome = outcomes[group] %}
<tr><th scope="row">{{ policies[policy] }}</th><td>{{ outcome.measures["mean"] | minutes }}</td>
<td>{{ "–" if loop.first else outcome.differences["mean"] | signed }}</td>
<td>{{ outcome.measures["median"] | number }}</td><td>{{ outcome.measures["p95"] | number }}</td>
{% for limit in within %}
<td>{{ outcome.measures["within_%d" % limit] | percent }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
{% endfor %}
</table></div>
</section>
<section class="card">
<h2>What is assumed</h2>
<div class="scroll" tabindex="0"><table class="assumed">
<tbody>
{% for what, value, source in assumptions %}
<tr><th scope="row">{{ what }}</th><td>{{ value }}</td><td class="source">{{ source }}</td></tr>
{% endfor %}
</tbody></table></div>
</section>
<section class="card">
<h2>How it is simplified</h2>
<ul>
{% for sentence in simplified %}
<li>{{ sentence }}</li>
{% endfor %}
</ul>
</section>
<section class="card wide">
<h2>How these figures came about</h2>
{% set test_set = benefit.classifier.test_set %}
<p>
{%- if test_set %}
Scores are those of the {{ benefit.classifier.source }}: {{ "{:,}".format(test_set.positive_count) }} with and
{{ "{:,}".format(test_set.negative_count) }} without hemorrhage. Each simulated study draws its score from theirs, so
the whole ROC curve takes part. The threshold of the flag is read off the same patients, which flatters it a little.
{% else %}
A study is flagged with the sensitivity and specificity given.
{% endif %}
The same studies, scores and reading times go through every policy, which is why differences are known better than
waits.</p>
<p>Intervals are Student's over {{ settings.replications }} replications of {{ "{:g}".format(settings.days) }} days
({{ "{:.1f}".format(settings.margin_days) }} days before and after are simulated but not counted)
{%- if test_set %}
, widened by what test sets of the same size, drawn anew from this one, change on the same days. For studies that are
not flagged they are of the simulation alone{% endif %}. They know nothing of whether the assumptions hold.</p>
<p>Over all studies the mean wait is the same whatever the order: a worklist in another order is no less work.</p>
</section>
</div>
"""


def benefit_html(benefit: Benefit) -> str:
    """The page as HTML; equal arguments give equal text."""
    test_set = benefit.classifier.test_set
    return render_page(
        _BODY,
        {
            "figure": figure,
            "interval": interval,
            "minutes": minutes,
            "signed": signed,
            "number": number,
            "percent": percent,
        },
        _STYLE,
        headline=answer(benefit),
        findings=list(findings(benefit)),
        benefit=benefit,
        settings=benefit.settings,
        auc=AucRecord(**summary(test_set)) if test_set else None,
        waiting=Markup(waiting_plot(benefit)),
        means=Markup(means_plot(benefit)),
        groups=GROUPS,
        group_words=GROUP_WORDS,
        policies=POLICIES,
        within=WITHIN_MINUTES,
        assumptions=assumptions(benefit.settings),
        simplified=SIMPLIFIED,
    )
