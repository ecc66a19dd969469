"""What the report says of its figures, in words that can be checked by hand."""

import numpy as np
import pytest

from bloodnet_model.run_metrics import (
    AucRecord,
    Calibration,
    CalibrationRecord,
    CrossSite,
    OperatingRecord,
    PairedRecord,
    Proportion,
    RatesRecord,
    ReliabilityBin,
    Round,
    RunMetrics,
    VolumeAgreement,
    WithinHospital,
)
from server.report import readings
from server.report.answer import answers, by_patients, operating_sentence, paired_sentence, shown_of, tally, verdict
from server.report.figures.curves import Curve
from server.report.rows import cross_site_rows
from server.wording import per_hundred, signed
from tests.server.rich_run import rich_metrics


def record(auc: float | None, low: float | None = None, high: float | None = None) -> AucRecord:
    why = None if auc is not None else "the AUC is undefined: no positive study among 9."
    return AucRecord(studies=9, positives=4, auc=auc, auc_low=low, auc_high=high, error_bound=None, undefined=why)


def pair(delta: float | None, low: float | None, high: float | None, patients: str = "all") -> PairedRecord:
    return PairedRecord(
        first="federated",
        second="central",
        patients=patients,
        studies=885,
        auc_first=0.9,
        auc_second=0.9,
        delta=delta,
        low=low,
        high=high,
        margin=0.02,
        not_inferior=None if low is None else low > -0.02,
        undefined=None if delta is not None else "no site could compare the two models.",
    )


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.001, 0.05, "better"),
        (-0.01, 0.05, "not inferior"),
        (-0.019, -0.001, "worse, within the margin"),
        (-0.05, -0.001, "worse"),
        (-0.03, 0.05, "undecided"),
    ],
)
def test_verdict_of_a_paired_interval(low: float, high: float, said: str) -> None:
    assert verdict(pair((low + high) / 2, low, high)) == said


def test_paired_sentence_says_that_it_is_paired_and_names_the_margin() -> None:
    assert paired_sentence(pair(-0.004, -0.014, 0.007)) == (
        "AUC −0.004 (paired 95 % CI −0.014 to +0.007) on the same 885 studies; it is not inferior: the interval stays "
        "above the margin of −0.02."
    )
    assert paired_sentence(pair(None, None, None)) == "No site could compare the two models."


def test_comparisons_are_told_by_whose_patients_they_are_on() -> None:
    comparisons = [pair(0.03, 0.01, 0.05, patients) for patients in ("all", "a", "others than a", "b")]
    assert {kind: len(of) for kind, of in by_patients(comparisons).items()} == {"all": 1, "own": 2, "others": 1}
    mixed = [pair(0.03, 0.01, 0.05), pair(0.0, -0.05, 0.05), pair(None, None, None)]
    assert tally(mixed) == "better in 1 of 3, undecided in 1, undefined in 1 (differences 0.000 to +0.030)"


def test_answers_put_the_paired_ones_first_and_drop_the_unpaired_difference() -> None:
    metrics = RunMetrics.model_validate(rich_metrics(sites=3, rounds=2, planned=2))
    asked = [answer.asked for answer in answers(metrics, shown_of(metrics))]
    assert asked == [
        "Against central",
        "Against previous round",
        "Against each hospital alone",
        "At the threshold",
        "Which round's model",
    ]
    without = metrics.model_copy(update={"comparisons": [], "selection": None})
    assert [answer.asked for answer in answers(without, shown_of(without))] == ["Against central", "At the threshold"]
    assert "reached" in answers(without, shown_of(without))[0].said


def proportion(count: int, of: int) -> Proportion:
    return Proportion(count=count, of=of, value=count / of if of else None, low=None, high=None)


def operating(found: Proportion, left: Proportion) -> OperatingRecord:
    rates = RatesRecord(sensitivity=found, specificity=left, ppv=proportion(1, 2), npv=proportion(1, 2))
    return OperatingRecord(target="sensitivity", wanted=0.95, threshold=0.394, chosen_on=rates, pooled=rates)


def test_threshold_in_patients_of_a_hundred() -> None:
    said = operating_sentence(operating(proportion(19, 20), proportion(70, 100)))
    assert said == (
        "With a score of 0.394 or more, chosen on validation patients, 95 of 100 bleeds are flagged, and 30 of 100 "
        "patients without hemorrhage as well."
    )
    assert "nothing can be said" in operating_sentence(operating(proportion(0, 0), proportion(7, 9)))
    reading = readings.flagged(operating(proportion(19, 20), proportion(70, 100)))
    assert "1 of 20 bleeds is missed, 30 of 100 patients without hemorrhage are flagged." in reading


@pytest.mark.parametrize(
    ("share", "said"), [(0.947, "95"), (0.999, "more than 99"), (0.001, "fewer than 1"), (0.0, "0"), (1.0, "100")]
)
def test_nobody_is_promised_a_hundred_of_a_hundred(share: float, said: str) -> None:
    assert per_hundred(share) == said


@pytest.mark.parametrize(
    ("value", "said"), [(-0.0213, "−0.021"), (-0.0003, "−0.0003"), (0.0, "0.000"), (0.02, "+0.020")]
)
def test_differences_keep_their_sign(value: float, said: str) -> None:
    assert signed(value) == said


def test_curves_are_read_at_the_places_that_they_name() -> None:
    roc = Curve("Federated", np.array([0.0, 0.1, 1.0]), np.array([0.0, 0.8, 1.0]))
    assert readings.roc(roc, {90: 0.8, 95: 0.0}, []) == (
        "The federated model finds 80 of 100 bleeds at a specificity of 90 % and 0 of 100 bleeds at a specificity of "
        "95 %."
    )
    curve = Curve("Federated", np.array([0.0, 0.5, 0.9, 1.0]), np.array([1.0, 1.0, 0.7, 0.4]))
    said = readings.precision_recall(curve, 0.4, record(0.9))
    assert (
        said
        == "Where 90 of 100 bleeds are flagged, 70 of 100 flagged patients bleed; flagging everybody would give 40."
    )


def test_within_hospital_is_named_as_another_quantity() -> None:
    found = WithinHospital(auc=0.9, auc_low=0.85, auc_high=0.93, tau=0.3, hospitals=4)
    assert "another quantity than the pooled AUC" in readings.within(found)
    nothing = WithinHospital(
        auc=None,
        auc_low=None,
        auc_high=None,
        tau=None,
        hospitals=1,
        undefined="the AUC of a typical hospital is undefined: 1 of 2 hospitals have one.",
    )
    assert readings.within(nothing) == "The AUC within a typical hospital is undefined: 1 of 2 hospitals have one."


def test_groups_whose_intervals_part_are_pointed_out() -> None:
    assert "do not overlap: look into it" in readings.groups(
        {"GE": record(0.7, 0.6, 0.8), "Canon": record(0.95, 0.9, 0.98)}
    )
    assert "intervals overlap." in readings.groups({"GE": record(0.7, 0.6, 0.91), "Canon": record(0.95, 0.9, 0.98)})


def calibration(mean_score: float, positives: int, heat: float | None = None, bias: float | None = None) -> Calibration:
    bins = [ReliabilityBin(low=0.7, high=0.8, studies=50, positives=positives, mean_score=mean_score)]
    told = CalibrationRecord(brier=0.1, expected_error=0.058, bins=bins)
    return Calibration(as_scored=told, temperature=heat, bias=bias, recalibrated=None)


def test_calibration_in_plain_words() -> None:
    said = readings.calibration(calibration(0.75, 30))
    assert said.startswith("As scored, a score is off by 5.8 points of 100 on average.")
    assert "of 50 studies told 75 % on average, 60 % bled." in said


@pytest.mark.parametrize(
    ("heat", "bias", "said"),
    [
        (1.6, 0.3, "too sure of themselves and too low: the odds of hemorrhage are multiplied by 1.35"),
        (0.6, -0.3, "too cautious and too high: the odds of hemorrhage are multiplied by 0.74"),
        (1.01, 0.01, "about as sure as they should be and need no shift"),
    ],
)
def test_temperature_and_bias_in_plain_words(heat: float, bias: float, said: str) -> None:
    assert said in readings.temperature(calibration(0.75, 30, heat, bias))


def test_volume_agreement_says_which_way() -> None:
    found = VolumeAgreement(studies=3, mean_difference_ml=-1.9, low_ml=-14.2, high_ml=10.4)
    assert "1.9 ml too small on average; 95 of 100 studies lie between −14.2 and +10.4 ml" in readings.volume(found)


def test_cross_site_matrix_sets_home_apart() -> None:
    rows = {
        "federated": {"a": record(0.95), "b": record(0.95)},
        "a alone": {"a": record(0.9), "b": record(0.8)},
        "b alone": {"a": record(0.7), "b": record(None)},
    }
    columns, models = cross_site_rows(CrossSite(rows=rows))
    assert columns == ["a", "b"]
    assert [[cell.home for cell in cells] for _, cells in models] == [[False, False], [True, False], [False, True]]
    assert [cell.shade_percent for _, cells in models for cell in cells] == [45, 45, 36, 18, 0, 0]
    assert "median AUC of 0.90 at home and 0.75 on other hospitals' patients: it loses 0.15" in readings.cross_site(
        CrossSite(rows=rows)
    )


def test_learning_names_the_highest_round() -> None:
    metrics = RunMetrics.model_validate(rich_metrics(sites=2, rounds=3, planned=9))

    def with_auc(entry: Round, auc: float) -> Round:
        evaluation = entry.validation.model_copy(update={"pooled": {"any": record(auc)}})
        return entry.model_copy(update={"validation": evaluation})

    rounds = [with_auc(entry, auc) for entry, auc in zip(metrics.rounds, (0.6, 0.9, 0.8), strict=True)]
    assert readings.learning(rounds, 9) == (
        "From 0.60 after round 1 to 0.80 after round 3; the highest was 0.90 in round 2. Over the last 3 rounds it "
        "moved within 0.300."
    )
