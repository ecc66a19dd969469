"""The page of several runs side by side."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from bloodnet_model.page import render_page
from bloodnet_model.run_metrics import ALL, RunMetrics
from server.report.figures.forest import Row, auc_forest, difference_forest
from server.report.figures.training import runs_plot
from server.report.page import FILTERS
from server.report.plot import Plot
from server.report.runs import RunLine, headline_of, run_lines, warnings
from server.report.style import STYLE
from server.report.template import MACROS
from server.wording import figure, interval, signed, signed_span, why_undefined

NO_TEST: Final = (
    "Intervals of runs on the same patients are not a test: two that overlap can differ all the same, for both runs "
    "score the same easy and hard patients. Only a paired interval compares two models."
)

_BODY: Final = """
<header>
<p class="eyebrow">BloodNet federation · comparison of runs</p>
{% if lines | selectattr("metrics.run.data", "equalto", "synthetic") | list %}
<p class="banner" role="note">Synthetic heads: this tests the plumbing; it is not clinical accuracy.</p>
{% endif %}
<h1>{{ headline }}</h1>
{% for warning in warnings %}
<p class="lead bad">{{ warning }}</p>
{% endfor %}
<p class="lead">{{ no_test }}</p>
</header>
<section id="runs">
<h2>The runs</h2>
<div class="scroll" tabindex="0"><table class="many">
<caption><span>Any hemorrhage, all patients pooled. Rates are those at the threshold that each run chose on its own
validation patients.</span></caption>
<thead><tr><th scope="col">run</th><th scope="col" class="text">strategy</th><th scope="col">rounds</th>
<th scope="col" class="text">patients</th><th scope="col" class="text">AUC (95 % CI)</th>
<th scope="col">AUPRC</th><th scope="col">sensitivity</th><th scope="col">specificity</th>
<th scope="col">calibration error</th><th scope="col">seconds</th><th scope="col">seed</th></tr></thead>
<tbody>
{% for line in lines %}
{% set run = line.metrics.run %}
<tr><th scope="row">{{ line.name }}</th><td class="text">{{ run.strategy }}</td>
<td>{{ line.metrics.rounds | length }} of {{ run.rounds }}</td>
{% if line.record %}
<td class="text">{{ line.record.studies | thousands }} {{ line.shown.split }}</td>
{{ auc(line.record) }}<td>{{ "–" if line.record.auprc is none else line.record.auprc | figure(3) }}</td>
{% else %}
<td class="text">–</td><td class="text undefined">no round has been finished</td><td>–</td>
{% endif %}
{% for share in ((line.operating.pooled.sensitivity, line.operating.pooled.specificity) if line.operating
else (none, none)) %}
<td>{{ "–" if not share or share.value is none else share.value | figure }}</td>
{% endfor %}
<td>{{ "–" if line.expected_error is none else line.expected_error | figure(3) }}</td>
<td>{{ "{:,.0f}".format(line.seconds) }}</td><td>{{ run.seed }}</td></tr>
{% endfor %}
</tbody></table></div>
</section>
<section id="figures">
<h2>How far apart are they?</h2>
<div class="pair">
{% for name in plots %}
{{ drawn(name) }}
{% endfor %}
</div>
{% if pairs %}
<div class="table"><h3>Paired comparisons that these runs hold</h3>
<div class="scroll" tabindex="0"><table>
<caption><span>Two models on the same patients of all hospitals, AUC of any hemorrhage.</span></caption>
<thead><tr><th scope="col">run</th><th scope="col" class="text">models</th><th scope="col">studies</th>
<th scope="col" class="text">difference (paired 95 % CI)</th><th scope="col">margin</th>
<th scope="col" class="text">verdict</th></tr></thead>
<tbody>
{% for name, one in pairs %}
<tr><th scope="row">{{ name }}</th><td class="text">{{ one.first }} − {{ one.second }}</td>
<td>{{ one.studies | thousands }}</td>
<td class="text">{{ one.delta | signed }} {% if one.low is not none %}({{ one | signed_span }}){% endif %}</td>
<td>{{ one.margin }}</td><td class="text">{{ one | verdict }}</td></tr>
{% endfor %}
</tbody></table></div></div>
{% else %}
<p class="note">None of these runs holds a paired comparison on all patients; so none of these differences is
tested.</p>
{% endif %}
</section>
"""


def runs_html(runs: Mapping[str, RunMetrics]) -> str:
    """Equal runs give equal text."""
    lines = run_lines(runs)
    pairs = [
        (line.name, one)
        for line in lines
        for one in line.metrics.comparisons
        if one.patients == ALL and one.delta is not None
    ]
    return render_page(
        MACROS + _BODY,
        FILTERS,
        STYLE,
        headline=headline_of(lines),
        lines=lines,
        warnings=warnings(lines),
        no_test=NO_TEST,
        plots=runs_plots(lines),
        pairs=pairs,
    )


def runs_plots(lines: Sequence[RunLine]) -> dict[str, Plot]:
    """Figures of several runs by name; only those for which there is something to draw."""
    return {plot.name: plot for plot in _plots(lines)}


def _plots(lines: Sequence[RunLine]) -> Iterator[Plot]:
    known = [(line, line.record) for line in lines if line.record is not None]
    aucs = [record.auc for _, record in known if record.auc is not None]
    if aucs:
        rows = [
            Row(
                line.name,
                why_undefined(record)
                if record.auc is None
                else f"{figure(record.auc)} ({interval(record) or 'no interval'})",
                record.auc,
                record.auc_low,
                record.auc_high,
                f"{line.metrics.run.strategy}, {len(line.metrics.rounds)} rounds",
            )
            for line, record in known
        ]
        spread = max(aucs) - min(aucs)
        reading = f"The runs lie within {spread:.3f} of each other. These intervals are not paired."
        yield Plot("runs", "AUC of each run", reading, partial(auc_forest, rows, None), NO_TEST)
    points = {
        line.name: found
        for line in lines
        if (
            found := [
                (entry.round, auc)
                for entry in line.metrics.rounds
                if (auc := entry.validation.any_hemorrhage.auc) is not None
            ]
        )
    }
    if points:
        ends = ", ".join(
            f"{name} at {figure(found[-1][1])} after round {found[-1][0]}" for name, found in points.items()
        )
        yield Plot("runs-learning", "Learning, round by round", f"{ends}.", partial(runs_plot, points))
    yield from _paired(lines)


def _paired(lines: Sequence[RunLine]) -> Iterator[Plot]:
    rows = [
        Row(
            f"{one.first} − {one.second}",
            f"{signed(one.delta)} ({signed_span(one) or 'no interval'})",
            one.delta,
            one.low,
            one.high,
            f"in {line.name}",
        )
        for line in lines
        for one in line.metrics.comparisons
        if one.patients == ALL and one.delta is not None
    ]
    if rows:
        above = sum(row.low is not None and row.low > 0 for row in rows)
        below = sum(row.high is not None and row.high < 0 for row in rows)
        reading = f"Of {len(rows)} paired intervals {above or 'none'} lie above 0 and {below or 'none'} below."
        make = partial(difference_forest, rows, None, "right of 0: the first model is better")
        yield Plot("runs-differences", "Paired differences", reading, make)
