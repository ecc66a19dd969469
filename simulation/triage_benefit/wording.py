"""How the result of a triage simulation is said, on its page and in the terminal."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from server.wording import figure
from simulation.triage_benefit.benefit import ALL, BY_SCORE, FIRST_COME, FLAGGED, ICH, MISSED, NO_ICH, Benefit, Estimate
from simulation.triage_benefit.settings import BenefitSettings

POLICIES: Final = {FIRST_COME: "first come, first served", FLAGGED: "flagged first", BY_SCORE: "by score"}
GROUPS: Final = {
    ICH: "ICH-positive",
    MISSED: "ICH-positive, not flagged",
    NO_ICH: "ICH-negative",
    ALL: "all studies",
}
_ASSUMED: Final = {
    "arrivals_per_hour": "studies an hour",
    "reading_minutes": "minutes a reading, mean",
    "reading_sd_minutes": "minutes a reading, standard deviation",
    "radiologists": "radiologists",
    "prevalence": "share of studies with ICH",
    "scoring_seconds": "seconds until a score is there",
}
SIMPLIFIED: Final = (
    "Studies arrive at random at a constant rate, day and night (a Poisson process): simulate each shift by itself.",
    "A radiologist takes the study at the top, finishes the reading begun, reads nothing else and has no breaks.",
    "Reading times are lognormal, and the same with and without ICH, flagged or not.",
    "No study is urgent but for its score: no orders marked urgent, no telephone call.",
    "Patients score as the classifier's test patients did, independently of each other.",
)


@dataclass(frozen=True)
class Answer:
    """The answer in one sentence, of three parts; the middle one is the figure."""

    what: str
    value: str
    rest: str

    def __str__(self) -> str:
        return f"{self.what} {self.value} {self.rest}"


def answer(benefit: Benefit) -> Answer:
    here, usual = (benefit.outcomes[policy][ICH].measures["mean"] for policy in (benefit.best, FIRST_COME))
    beginning = "Synthetic heads: under" if benefit.classifier.synthetic else "Under"
    return Answer(
        f"{beginning} these assumptions, an ICH-positive study waits",
        f"{_whole(here.value)} min ({_interval(here)})",
        f"instead of {_whole(usual.value)} when the worklist is read {POLICIES[benefit.best]}",
    )


def findings(benefit: Benefit) -> Iterator[str]:
    """One sentence a policy on its gain, then one on who pays for it."""
    for policy in list(benefit.outcomes)[:0:-1]:
        change = benefit.outcomes[policy][ICH].differences["mean"]
        yield f"{POLICIES[policy].capitalize()}, ICH-positive studies wait {_change(change)}."
    yield _price(benefit)


def _change(change: Estimate) -> str:
    if change.value is None or change.low is None or change.high is None:
        return "an unknown time: none was simulated"
    if change.low <= 0 <= change.high:
        return f"neither longer nor shorter, as far as this shows ({signed(change)} min)"
    low, high = sorted(abs(edge) for edge in (change.low, change.high))
    side = "less" if change.value < 0 else "more"
    return f"{abs(change.value):.1f} min {side} on average (95 % CI {low:.1f}–{high:.1f})"


def _price(benefit: Benefit) -> str:
    best, usual = benefit.outcomes[benefit.best], benefit.outcomes[FIRST_COME]
    negative = f"ICH-negative studies wait {_whole(best[NO_ICH].measures['mean'].value)} min instead of "
    negative += f"{_whole(usual[NO_ICH].measures['mean'].value)}"
    missed = best[MISSED].measures["mean"]
    if missed.value is None:
        return f"The price: {negative}; no ICH-positive study goes unflagged."
    others = [
        f"{_whole(benefit.outcomes[policy][MISSED].measures['mean'].value)} {POLICIES[policy]}"
        for policy in benefit.outcomes
        if policy not in (benefit.best, FIRST_COME)
    ]
    aside = f" ({', '.join(others)})" if others else ""
    return (
        f"The price: the {_percent(1 - benefit.classifier.sensitivity)} of ICH-positive studies that are not flagged "
        f"wait {_whole(missed.value)} min instead of {_whole(usual[MISSED].measures['mean'].value)}{aside}; {negative}."
    )


def assumptions(settings: BenefitSettings) -> list[tuple[str, str, str]]:
    """What, how much, and where it comes from."""
    lines = []
    for name, what in _ASSUMED.items():
        value, field = getattr(settings, name), BenefitSettings.model_fields[name]
        lines.append((what, f"{value:g}", str(field.description) if value == field.default else "as given"))
    return lines


def department(benefit: Benefit) -> str:
    """What was simulated, in a line below a picture."""
    settings, classifier = benefit.settings, benefit.classifier
    readers = "1 radiologist" if settings.radiologists == 1 else f"{settings.radiologists} radiologists"
    point = f"sensitivity {figure(classifier.sensitivity)} and specificity {figure(classifier.specificity)}"
    return (
        f"{settings.arrivals_per_hour:g} studies an hour, {_percent(settings.prevalence)} with ICH, {readers}, "
        f"{settings.reading_minutes:g} minutes a reading; flagged with {point} ({classifier.source})"
    )


def minutes(estimate: Estimate) -> str:
    """`14.2 (10.5–18.0)`."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "none"
    return f"{_tenths(estimate.value)} ({_tenths(max(0.0, estimate.low))}–{_tenths(estimate.high)})"


def signed(estimate: Estimate) -> str:
    """`−24.9 (−29.2 to −20.5)`, a difference."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "none"
    value, low, high = (_tenths(part, "+").replace("-", "−") for part in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def number(estimate: Estimate) -> str:
    return "none" if estimate.value is None else f"{estimate.value:.0f}"


def percent(estimate: Estimate) -> str:
    return "none" if estimate.value is None else _percent(estimate.value)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _tenths(value: float, sign: str = "") -> str:
    """Minutes with a decimal below 100; a zero has no sign."""
    if abs(value) < 0.05:
        return "0.0"
    return f"{value:{sign}.1f}" if abs(value) < 99.95 else f"{value:{sign}.0f}"


def _whole(value: float | None) -> str:
    """Minutes to two digits."""
    if value is None:
        return "none"
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def _interval(estimate: Estimate) -> str:
    low = max(0.0, estimate.low) if estimate.low is not None else None
    return f"95 % CI {_whole(low)}–{_whole(estimate.high)}"
