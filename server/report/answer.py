"""The answer first: which figure the report is about, and how it stands to other models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bloodnet_model.labels import CLASSES
from bloodnet_model.run_metrics import (
    ALL,
    ELSEWHERE,
    FEDERATED,
    SYNTHETIC,
    AucRecord,
    Evaluation,
    OperatingRecord,
    PairedRecord,
    RunMetrics,
    SiteScores,
    Withheld,
)
from server.report.model_choice import choice_sentences, end_sentence, running
from server.report.participation import set_aside_sentence
from server.wording import counted, figure, in_words, per_hundred, sentence, signed, signed_span, with_interval

ANY: Final = CLASSES[0]
Whose = Literal["all", "own", "others"]
"""Kinds of patients of a comparison."""
_IN_WORDS: Final = {"first": "the weights it began with", "previous-round": "the previous round"}


@dataclass(frozen=True)
class Shown:
    """The evaluation that the report is about: the test, or the last validation while there is none."""

    split: Literal["test", "validation"]
    evaluation: Evaluation

    @property
    def record(self) -> AucRecord:
        return self.evaluation.any_hemorrhage

    @property
    def coarse(self) -> bool:
        """Whether binning can show in the printed digits of the AUC, so that the reader must be told beside it."""
        return (self.record.error_bound or 0) >= 0.01

    @property
    def hospitals(self) -> int:
        """How many sites are in the pooled figure."""
        return sum(isinstance(scores, dict) and scores[ANY].studies > 0 for scores in self.evaluation.sites.values())


def shown_of(metrics: RunMetrics) -> Shown | None:
    """The test; else the last validation, with its histograms where they are kept; else nothing."""
    if metrics.test is not None:
        return Shown("test", metrics.test)
    if not metrics.rounds:
        return None
    return Shown("validation", metrics.validation or metrics.rounds[-1].validation)


def record_of(scores: SiteScores | None) -> tuple[AucRecord | None, str]:
    """A site's record of any hemorrhage, or None and why there is none."""
    if scores is None:
        return None, "no such patients"
    if isinstance(scores, Withheld):
        return None, f"no counts given: {in_words(scores.withheld)}"
    return scores[ANY], ""


@dataclass(frozen=True)
class Headline:
    """The point of the report in one line: what it is, the figure, and of how many patients."""

    what: str
    value: str = ""
    patients: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.value}{self.patients}".strip()


def headline(metrics: RunMetrics, shown: Shown | None) -> Headline:
    if shown is None:
        return Headline("No round has been finished yet")
    hospitals = counted(shown.hospitals, "hospital")
    if shown.hospitals < len(shown.evaluation.sites):
        hospitals = f"{shown.hospitals} of {len(shown.evaluation.sites)} hospitals"
    patients = f", {shown.record.studies:,} studies from {hospitals}"
    value = with_interval(shown.record)
    if shown.split == "test":
        return Headline(_beginning(metrics, "pooled test AUC"), value, patients)
    progress = f" after round {metrics.rounds[-1].round} of {metrics.run.rounds}"
    so_far = _beginning(metrics, "test set not yet evaluated; validation AUC so far")
    return Headline(so_far, value, progress + patients)


def _beginning(metrics: RunMetrics, what: str) -> str:
    """The title of a report on synthetic heads says so in its first word."""
    return f"Synthetic heads: {what}" if metrics.run.data == SYNTHETIC else what[:1].upper() + what[1:]


@dataclass(frozen=True)
class Answer:
    """What a person asks next, and a sentence that answers it."""

    asked: str
    said: str


def answers(metrics: RunMetrics, shown: Shown | None) -> list[Answer]:
    """Against whom it stands how, what a threshold does, which model it is, and when there will be more."""
    if shown is None:
        return []
    found = [*_paired(metrics.comparisons), *_baselines(metrics)]
    if shown.evaluation.operating:
        found.append(Answer("At the threshold", operating_sentence(shown.evaluation.operating[0])))
    of_the_run = {
        "Which round's model": choice_sentences(metrics),
        "Set aside": set_aside_sentence(metrics.rounds) if running(metrics) else "",
        "When it ends": end_sentence(metrics),
    }
    return found + [Answer(asked, said) for asked, said in of_the_run.items() if said]


def is_home(model: str, patients: str) -> bool:
    """Whether a row of the cross-site matrix is the own model of the hospital whose patients these are."""
    return hospital_of(model) == patients


def hospital_of(model: str) -> str:
    """`st-mary` of `st-mary alone`; other models keep their names."""
    return model.removesuffix(" alone")


def by_patients(comparisons: Sequence[PairedRecord]) -> dict[Whose, list[PairedRecord]]:
    """Comparisons on all patients, on one site's own, and on all others than a site's; the kinds that there are."""
    kinds: dict[Whose, list[PairedRecord]] = {"all": [], "own": [], "others": []}
    for one in comparisons:
        kind: Whose = "others" if one.patients.startswith(ELSEWHERE) else "own"
        kinds["all" if one.patients == ALL else kind].append(one)
    return {kind: found for kind, found in kinds.items() if found}


def _paired(comparisons: Sequence[PairedRecord]) -> Iterator[Answer]:
    """One answer for each comparison on all patients, up to two, and one for those on each kind of some."""
    kinds = by_patients([one for one in comparisons if one.delta is not None])
    everybody = kinds.get("all", [])
    for one in everybody[:2]:
        yield Answer(f"Against {_IN_WORDS.get(one.second, one.second)}", paired_sentence(one))
    if everybody[2:]:
        yield Answer(f"Against {counted(len(everybody[2:]), 'more model')}", f"{sentence(tally(everybody[2:]))}")
    where = {"own": "On its own patients", "others": "On all others' patients"}
    alone = [f"{words}: {tally(kinds[kind])}." for kind, words in where.items() if kind in kinds]
    if alone:
        yield Answer("Against each hospital alone", " ".join(alone))


def verdict(one: PairedRecord) -> str:
    """What the paired interval says: better, worse, not inferior, or undecided."""
    if one.delta is None or one.low is None or one.high is None:
        return "undefined"
    if one.low > 0:
        return "better"
    if one.high < 0:
        return "worse, within the margin" if one.not_inferior else "worse"
    return "not inferior" if one.not_inferior else "undecided"


_MEANING: Final = {
    "better": "it is better: the interval lies above 0",
    "worse": "it is worse: the interval lies below 0",
    "worse, within the margin": "it is worse, but by less than the margin of {margin:g}",
    "not inferior": "it is not inferior: the interval stays above the margin of −{margin:g}",
    "undecided": "undecided: the interval holds 0 and reaches below the margin of −{margin:g}",
}


def paired_sentence(one: PairedRecord) -> str:
    """AUC −0.012 (paired 95 % CI −0.030 to +0.006) on the same 885 studies; it is …"""
    if one.delta is None or one.low is None:
        return sentence(one.undefined or "undefined")
    meaning = _MEANING[verdict(one)].format(margin=one.margin)
    studies = counted(one.studies, "study", "studies")
    first = "" if one.first == FEDERATED else f"{one.first}: "
    return f"{first}AUC {signed(one.delta)} (paired 95 % CI {signed_span(one)}) on the same {studies}; {meaning}."


def tally(comparisons: Sequence[PairedRecord]) -> str:
    """`better in 3 of 5, undecided in 2 (differences −0.004 to +0.081)`."""
    verdicts = [verdict(one) for one in comparisons]
    counts = [(verdicts.count(name), name) for name in (*_MEANING, "undefined")]
    said = [f"{name} in {count}" for count, name in counts if count]
    said[0] += f" of {len(comparisons)}"
    known = [one.delta for one in comparisons if one.delta is not None]
    spread = f" (differences {signed(min(known))} to {signed(max(known))})" if known else ""
    return f"{', '.join(said)}{spread}"


def _baselines(metrics: RunMetrics) -> Iterator[Answer]:
    """One answer for each other way of training on the same patients that no paired comparison speaks of."""
    compared = {one.second for one in metrics.comparisons if one.patients == ALL and one.delta is not None}
    for name, baseline in metrics.baselines.items():
        theirs = baseline.test.any_hemorrhage
        if metrics.test is None or theirs.auc is None or name in compared:
            continue
        note = f" ({baseline.note})" if baseline.note else ""
        said = f"{in_words(name).capitalize()} training{note} reached {with_interval(theirs)}"
        mine = metrics.test.any_hemorrhage.auc
        if mine is not None:
            difference = mine - theirs.auc
            side = "above" if difference > 0 else "below"
            apart = f"{abs(difference):.2f} {side}" if abs(difference) >= 0.005 else "within 0.005 of"
            said += f"; the federated model is {apart} it"
        yield Answer(f"Against {in_words(name)}", f"{said}.")


def operating_sentence(operating: OperatingRecord) -> str:
    """What flagging at the threshold means for 100 patients of either kind."""
    found, left = operating.pooled.sensitivity.value, operating.pooled.specificity.value
    start = f"With a score of {figure(operating.threshold, 3)} or more, chosen on validation patients,"
    if found is None or left is None:
        return f"{start} nothing can be said: one of the two kinds of patient is missing."
    return (
        f"{start} {per_hundred(found)} of 100 bleeds are flagged, "
        f"and {per_hundred(1 - left)} of 100 patients without hemorrhage as well."
    )
