"""What a classifier is worth: against Cobham's formula, at its extremes, and by the laws that bind any order."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bloodnet_model.errors import SettingsError
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.seeds import derive_seed
from simulation.triage_benefit.benefit import (
    ALL,
    BY_SCORE,
    FIRST_COME,
    FLAGGED,
    GROUPS,
    ICH,
    MISSED,
    NO_ICH,
    Benefit,
    Estimate,
    simulate_benefit,
)
from simulation.triage_benefit.classifier import Classifier, from_histogram, from_operating_point
from simulation.triage_benefit.settings import BenefitSettings, benefit_settings
from simulation.triage_benefit.worklist import draw_caseload, minutes_to_reading

SMALL = benefit_settings({"arrivals_per_hour": 2.6, "days": 20, "replications": 20, "scoring_seconds": 0})
BRIEF = benefit_settings({"days": 10, "replications": 10, "scoring_seconds": 0})
GRADED = from_histogram(
    ScoreHistogram(np.array([2, 3, 5, 8, 12, 30]), np.array([60, 40, 30, 20, 10, 4])), 0.85, "x", synthetic=False
)


def cobham_minutes(settings: BenefitSettings, class_shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean wait by priority class, the most urgent first, in M/G/1 without preemption (Cobham 1954)."""
    per_minute = settings.arrivals_per_hour / 60
    second_moment = settings.reading_minutes**2 + settings.reading_sd_minutes**2
    load = np.concatenate([[0], np.cumsum(per_minute * settings.reading_minutes * class_shares)])
    return np.asarray(per_minute * second_moment / 2 / ((1 - load[:-1]) * (1 - load[1:])))


def expected_minutes(settings: BenefitSettings, classifier: Classifier, policy: str) -> dict[str, float]:
    """Mean wait of each group, by theory."""
    positive, negative = classifier.positive_shares[::-1], classifier.negative_shares[::-1]  # urgent first
    flagged = classifier.positive_shares.size - classifier.flag_bin
    cuts = {FIRST_COME: [0], FLAGGED: [0, flagged], BY_SCORE: list(range(positive.size))}[policy]
    positive_classes, negative_classes = np.add.reduceat(positive, cuts), np.add.reduceat(negative, cuts)
    prevalence = settings.prevalence
    minutes = cobham_minutes(settings, prevalence * positive_classes + (1 - prevalence) * negative_classes)
    by_bin = minutes[np.searchsorted(cuts, np.arange(positive.size), side="right") - 1]
    missed = positive[flagged:]
    return {
        ICH: float(positive @ by_bin),
        NO_ICH: float(negative @ by_bin),
        MISSED: float(missed @ by_bin[flagged:] / missed.sum()),
        ALL: float((prevalence * positive + (1 - prevalence) * negative) @ by_bin),
    }


def mean(benefit: Benefit, policy: str, group: str) -> Estimate:
    return benefit.outcomes[policy][group].measures["mean"]


def edges(estimate: Estimate) -> tuple[float, float, float]:
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.value, estimate.high


@pytest.fixture(scope="module")
def graded() -> Benefit:
    """Without a test set, so that intervals are of the simulation alone."""
    return simulate_benefit(SMALL, Classifier(GRADED.positive_shares, GRADED.negative_shares, GRADED.flag_bin, "x"))


@pytest.mark.parametrize("policy", [FIRST_COME, FLAGGED, BY_SCORE])
@pytest.mark.parametrize("group", GROUPS)
def test_every_mean_is_what_queueing_theory_says(graded: Benefit, policy: str, group: str) -> None:
    low, value, high = edges(mean(graded, policy, group))
    expected = expected_minutes(SMALL, GRADED, policy)[group]
    assert high - low < (0.6 if group == MISSED else 0.35) * expected
    assert abs(value - expected) < 1.3 * (high - low) / 2  # 12 intervals at once


def test_no_order_is_less_work(graded: Benefit) -> None:
    for policy in (FLAGGED, BY_SCORE):
        low, _, high = edges(graded.outcomes[policy][ALL].differences["mean"])
        assert low < 0 < high
        assert high - low < 3


def test_differences_are_paired(graded: Benefit) -> None:
    for group in (ICH, NO_ICH):
        low, value, high = edges(graded.outcomes[BY_SCORE][group].differences["mean"])
        usual, here = edges(mean(graded, FIRST_COME, group)), edges(mean(graded, BY_SCORE, group))
        assert value == pytest.approx(here[1] - usual[1])
        assert high - low < 0.8 * np.hypot(usual[2] - usual[0], here[2] - here[0])
    assert edges(graded.outcomes[FIRST_COME][ICH].differences["mean"]) == (0, 0, 0)


def test_measures_agree_with_the_waits_they_are_of(graded: Benefit) -> None:
    for policy, waits in graded.ich_minutes.items():
        measures = graded.outcomes[policy][ICH].measures
        assert edges(measures["within_30"])[1] == pytest.approx((waits <= 30).mean(), abs=0.01)
        assert edges(measures["median"])[1] == pytest.approx(np.median(waits), rel=0.1)
        assert edges(measures["p95"])[1] == pytest.approx(np.quantile(waits, 0.95), rel=0.1)
        assert (np.diff(waits) >= 0).all()
    assert graded.ich_minutes[FIRST_COME].size == pytest.approx(0.16 * graded.studies, rel=0.05)


def test_only_the_days_that_count_are_in_the_figures() -> None:
    settings = BRIEF.model_copy(update={"days": 2.0, "warm_up_days": 2.0, "replications": 3})
    expected = []
    for number in range(3):
        caseload = draw_caseload(settings, np.random.default_rng(derive_seed(0, "triage-benefit", number)))
        in_order = np.zeros(caseload.positive.size, int)
        waits = minutes_to_reading(caseload.arrival_minutes, caseload.reading_minutes, in_order, radiologists=1)
        expected.append(waits[caseload.counted & caseload.positive].mean())
    assert mean(simulate_benefit(settings, GRADED), FIRST_COME, ICH).value == pytest.approx(np.mean(expected))


def test_a_perfect_classifier_makes_ich_wait_for_ich_alone() -> None:
    perfect = from_operating_point(1, 1)
    benefit = simulate_benefit(SMALL, perfect)
    low, value, high = edges(mean(benefit, FLAGGED, ICH))
    assert abs(value - cobham_minutes(SMALL, np.array([0.16, 0.84]))[0]) < 1.3 * (high - low) / 2
    assert edges(benefit.outcomes[FLAGGED][ICH].differences["mean"])[2] < -8
    assert edges(benefit.outcomes[FLAGGED][NO_ICH].differences["mean"])[0] > 0
    assert mean(benefit, FLAGGED, MISSED) == mean(benefit, FIRST_COME, MISSED) == Estimate(None, None, None)


def test_scores_that_tell_nothing_help_nobody() -> None:
    shares = np.full(20, 0.05)
    benefit = simulate_benefit(BRIEF, Classifier(shares, shares, 10, "x"))
    for policy in (FLAGGED, BY_SCORE):
        for group in (ICH, NO_ICH):
            low, _, high = edges(benefit.outcomes[policy][group].differences["mean"])
            assert low < 0 < high


def test_a_classifier_that_is_upside_down_harms() -> None:
    benefit = simulate_benefit(BRIEF, from_operating_point(0.1, 0.1))
    assert edges(benefit.outcomes[FLAGGED][ICH].differences["mean"])[0] > 0


def test_a_late_score_is_worth_less() -> None:
    late = BRIEF.model_copy(update={"scoring_seconds": 1800.0})
    classifier = from_operating_point(0.95, 0.95)
    prompt_mean = edges(mean(simulate_benefit(BRIEF, classifier), FLAGGED, ICH))[1]
    late_mean = edges(mean(simulate_benefit(late, classifier), FLAGGED, ICH))[1]
    assert prompt_mean + 3 < late_mean < edges(mean(simulate_benefit(late, classifier), FIRST_COME, ICH))[1]


def test_the_same_studies_come_whatever_the_classifier(graded: Benefit) -> None:
    other = simulate_benefit(SMALL, from_operating_point(0.9, 0.9))
    assert other.outcomes[FIRST_COME][ICH] == graded.outcomes[FIRST_COME][ICH]
    assert list(other.outcomes) == [FIRST_COME, FLAGGED]
    assert (other.best, graded.best) == (FLAGGED, BY_SCORE)


def test_a_small_test_set_widens_the_interval_and_moves_nothing() -> None:
    assert GRADED.test_set is not None
    many = ScoreHistogram(1000 * GRADED.test_set.positives, 1000 * GRADED.test_set.negatives)
    unmeasured = Classifier(GRADED.positive_shares, GRADED.negative_shares, GRADED.flag_bin, "x")
    large, small = from_histogram(many, 0.85, "x", False), from_histogram(GRADED.test_set, 0.85, "x", False)
    none, known, few = (simulate_benefit(BRIEF, classifier) for classifier in (unmeasured, large, small))
    for policy in (FLAGGED, BY_SCORE):
        widths = [(high - low) for low, _, high in (edges(mean(each, policy, ICH)) for each in (none, known, few))]
        assert mean(none, policy, ICH).value == mean(known, policy, ICH).value == mean(few, policy, ICH).value
        assert widths[1] == pytest.approx(widths[0], rel=0.05)
        assert widths[2] > 1.1 * widths[1]
    assert few.outcomes[FIRST_COME] == none.outcomes[FIRST_COME]
    assert mean(few, BY_SCORE, MISSED) == mean(none, BY_SCORE, MISSED)


def test_equal_seeds_give_equal_figures_and_others_do_not() -> None:
    brief = BRIEF.model_copy(update={"days": 3.0, "replications": 3})
    first, again = simulate_benefit(brief, GRADED), simulate_benefit(brief, GRADED)
    assert first.outcomes == again.outcomes
    assert np.array_equal(first.ich_minutes[BY_SCORE], again.ich_minutes[BY_SCORE])
    other = simulate_benefit(brief.model_copy(update={"seed": 5}), GRADED)
    assert other.outcomes != first.outcomes


def test_the_global_generator_is_not_touched() -> None:
    before = str(np.random.get_state())  # noqa: NPY002
    simulate_benefit(benefit_settings({"days": 1, "replications": 2}), GRADED)
    assert str(np.random.get_state()) == before  # noqa: NPY002


def test_too_little_to_say_anything_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"days: hardly a study with hemorrhage comes in 0\.001 days; give more"):
        simulate_benefit(benefit_settings({"days": 0.001, "replications": 2}), GRADED)


def test_progress_is_told() -> None:
    told: list[int] = []
    simulate_benefit(benefit_settings({"days": 1, "replications": 3}), GRADED, told.append)
    assert told == [1, 2, 3]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"arrivals_per_hour": 9},
            r"radiologists: 9 studies an hour, .* are 240% .* at least 3, or fewer",
        ),
        ({"arrivals_per_hour": 3.75}, r"grows without end; give at least 2"),
        ({"arrivals_per_hour": 3.74}, r"warm_up_days: .* 99\.73% .* days to settle"),
        ({"prevalence": 0}, "prevalence: .* greater than 0"),
        ({"days": float("inf")}, "days: .* finite"),
        ({"replications": 1}, "replications"),
        ({"radiologist": 1}, "radiologist: unknown setting; did you mean radiologists"),
    ],
)
def test_a_department_that_cannot_be_is_refused(given: dict[str, float], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        benefit_settings(given)


def test_what_is_not_given_has_its_default_and_a_load_its_warm_up() -> None:
    assert benefit_settings({"days": None}) == BenefitSettings()
    assert benefit_settings({"arrivals_per_hour": 3.74, "warm_up_days": 3}).margin_days == 3
    relaxation_days = 16 / (1 - 0.8**0.5) ** 2 / 1440
    assert BenefitSettings().margin_days == pytest.approx(2 * relaxation_days)
