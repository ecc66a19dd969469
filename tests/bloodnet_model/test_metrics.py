"""Merged counts against scikit-learn and a direct DeLong on the pooled, binned scores."""

import json
import math
import random
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.metrics import (
    BINS,
    BLOCKS,
    ScoreHistogram,
    bin_edges,
    bin_index,
    bin_midpoints,
    hanley_mcneil_interval,
    summary,
)
from bloodnet_model.precision_recall import average_precision, average_precision_interval

Patients = list[tuple[float, int]]
Scores = NDArray[np.float64]
Labels = NDArray[np.int64]

# Few distinct values give heavy ties; free floats reach every bin.
SCORE = st.one_of(st.sampled_from([0.0, 0.01, 0.02, 0.5, 0.51, 0.99, 1.0]), st.floats(0, 1))
PATIENTS = st.lists(st.tuples(SCORE, st.integers(0, 1)), max_size=30)
TWO_OF_EACH = st.tuples(SCORE, SCORE, SCORE, SCORE).map(lambda scores: list(zip(scores, (0, 0, 1, 1), strict=True)))
FEDERATION = st.builds(lambda site, sites: [site, *sites], TWO_OF_EACH, st.lists(PATIENTS, max_size=4))
BIN_COUNTS = st.sampled_from([2, 3, 16, 1024])


def arrays(patients: Patients) -> tuple[Scores, Labels]:
    return np.array([s for s, _ in patients], np.float64), np.array([y for _, y in patients], np.int64)


def histogram(patients: Patients, bins: int = BINS) -> ScoreHistogram:
    return ScoreHistogram.from_scores(*arrays(patients), bins=bins)


def pooled(federation: list[Patients], bins: int) -> tuple[ScoreHistogram, Scores, Labels]:
    """The merged histogram beside all patients' own scores and labels."""
    scores, labels = arrays([patient for site in federation for patient in site])
    sites = [histogram(site, bins) for site in federation]
    return sum(sites, start=ScoreHistogram.empty(bins)), scores, labels


def direct_delong(scores: Scores, labels: Labels) -> float:
    """DeLong's variance from every pair of patients."""
    positive, negative = scores[labels == 1], scores[labels == 0]
    wins = (positive[:, None] > negative[None, :]) + 0.5 * (positive[:, None] == negative[None, :])
    by_positive, by_negative = wins.mean(axis=1), wins.mean(axis=0)
    return float(by_positive.var(ddof=1) / len(positive) + by_negative.var(ddof=1) / len(negative))


@settings(max_examples=600)
@given(FEDERATION, BIN_COUNTS)
def test_merged_auc_is_that_of_all_binned_scores(federation: list[Patients], bins: int) -> None:
    merged, scores, labels = pooled(federation, bins)
    binned = bin_midpoints(bins)[bin_index(scores, bins)]
    assert merged.auc() == pytest.approx(roc_auc_score(labels, binned), abs=1e-12)


@settings(max_examples=600)
@given(FEDERATION, BIN_COUNTS)
def test_merged_delong_is_that_of_all_binned_scores(federation: list[Patients], bins: int) -> None:
    merged, scores, labels = pooled(federation, bins)
    binned = bin_midpoints(bins)[bin_index(scores, bins)]
    assert merged.delong_variance() == pytest.approx(direct_delong(binned, labels), abs=1e-10)


@pytest.mark.parametrize(("prevalence", "studies"), [(0.5, 200), (0.1, 400)])
def test_delongs_error_is_that_of_the_bootstrap(prevalence: float, studies: int) -> None:
    rng = np.random.default_rng(4)
    labels = np.arange(studies) < prevalence * studies
    scores = np.round(1 / (1 + np.exp(-rng.normal(1.5 * labels, 1))), 2)  # two decimals: ties
    drawn = rng.integers(0, studies, (2000, studies))
    aucs = [ScoreHistogram.from_scores(scores[rows], labels[rows]).auc() for rows in drawn]
    whole = ScoreHistogram.from_scores(scores, labels)
    assert math.sqrt(whole.delong_variance()) == pytest.approx(np.std(aucs), rel=0.06)
    assert whole.auc_interval() == pytest.approx(np.quantile(aucs, [0.025, 0.975]), abs=0.015)


@settings(max_examples=600)
@given(FEDERATION, BIN_COUNTS)
def test_error_bound_holds_against_unbinned_scores(federation: list[Patients], bins: int) -> None:
    merged, scores, labels = pooled(federation, bins)
    assert abs(merged.auc() - roc_auc_score(labels, scores)) <= merged.auc_error_bound() + 1e-12


@given(FEDERATION, st.randoms(use_true_random=False))
def test_merging_in_any_order_is_the_same(federation: list[Patients], shuffler: random.Random) -> None:
    sites = [histogram(site) for site in federation]
    merged = sum(sites, start=ScoreHistogram.empty())
    shuffler.shuffle(sites)
    again = sum(sites, start=ScoreHistogram.empty())
    assert merged == again
    assert hash(merged) == hash(again)
    assert merged == histogram([patient for site in federation for patient in site])


@given(FEDERATION, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_interval_lies_inside_the_unit_interval(federation: list[Patients], level: float) -> None:
    merged, _, _ = pooled(federation, 16)
    assume(merged.delong_variance() > 0)
    low, high = merged.auc_interval(level)
    assert 0 < low < merged.auc() < high < 1


def doubled_wins(scores: Scores, labels: Labels) -> int:
    """Twice the number of pairs that the raw scores rank rightly, ties counting half."""
    positive, negative = scores[labels == 1][:, None], scores[labels == 0][None, :]
    return int(2 * (positive > negative).sum() + (positive == negative).sum())


# Skewed scores crowd one end, as a rare finding's do; an integer picks the site's own shape.
SKEWED = st.builds(lambda u, power: u**power, st.floats(0, 1), st.sampled_from([1, 2, 4, 8]))
SITE = st.lists(st.tuples(st.one_of(SCORE, SKEWED), st.integers(0, 1)), max_size=20)
ONE_CLASS = st.builds(lambda scores, y: [(s, y) for s in scores], st.lists(SKEWED, max_size=6), st.integers(0, 1))
MIXED_FEDERATION = st.lists(st.tuples(st.one_of(SITE, ONE_CLASS), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=1000)
@given(MIXED_FEDERATION, st.sampled_from([16, 64, 1024]))
def test_error_bound_holds_exactly_where_some_sites_are_coarsened(
    federation: list[tuple[Patients, bool]], bins: int
) -> None:
    sites = [histogram(site, bins).coarsened() if coarse else histogram(site, bins) for site, coarse in federation]
    merged = sum(sites, start=ScoreHistogram.empty(bins))
    assume(merged.positive_count and merged.negative_count)
    scores, labels = arrays([patient for site, _ in federation for patient in site])
    doubled_pairs = 2 * merged.positive_count * merged.negative_count
    off = abs(round(merged.auc() * doubled_pairs) - doubled_wins(scores, labels))
    assert off <= round(merged.auc_error_bound() * doubled_pairs)
    fine = [histogram(site, bins) for site, _ in federation]
    assert merged.auc_error_bound() >= sum(fine, start=ScoreHistogram.empty(bins)).auc_error_bound()


def test_error_bound_of_coarse_counts_by_hand() -> None:
    """Block 8 is the bins 512 to 575 and its middle bin 544; a fine negative beside it, one in it, one far away."""
    midpoints = bin_midpoints()
    fine = ScoreHistogram.from_scores(midpoints[[520, 544, 700]], [0, 0, 0])
    coarse = ScoreHistogram.from_scores(midpoints[[513, 514]], [1, 1]).coarsened()
    assert coarse.positives[544] == coarse.coarse_positives[8] == 2
    # Pairs with the far one are certain; with the one in the middle bin half a pair, with the other a whole one each.
    assert (fine + coarse).auc_error_bound() == (2 * 0.5 + 2 * 1) / 6
    assert (fine + coarse).auc() == (2 * 1 + 2 * 0.5) / 6
    assert doubled_wins(midpoints[[513, 514, 520, 544, 700]], np.array([1, 1, 0, 0, 0])) == 0


@given(PATIENTS)
def test_coarsening_keeps_the_blocks_and_merges_like_any_counts(patients: Patients) -> None:
    one = histogram(patients)
    coarse = one.coarsened()
    assert (coarse.positives.reshape(BLOCKS, -1).sum(1) == one.positives.reshape(BLOCKS, -1).sum(1)).all()
    assert (coarse.coarse_negatives == one.negatives.reshape(BLOCKS, -1).sum(1)).all()
    assert coarse.coarsened() == coarse
    assert (one + one).coarsened() == coarse + coarse
    assert hash((one + one).coarsened()) == hash(coarse + coarse)
    assert (coarse == one) == (one.studies == 0)  # the same counts, but other knowledge


def test_coarse_counts_that_cannot_be() -> None:
    counts, none, one = np.zeros(32, np.int64), np.zeros(BLOCKS, np.int64), np.eye(BLOCKS, dtype=np.int64)[3]
    counts[7] = 1  # the middle bin of block 3
    assert ScoreHistogram(counts, counts, one, none) != ScoreHistogram(counts, counts)
    with pytest.raises(DataError, match="more coarse positives than the middle bins"):
        ScoreHistogram(counts, counts, 2 * one, none)
    with pytest.raises(DataError, match="more coarse negatives than the middle bins"):
        ScoreHistogram(counts, counts, one, np.roll(one, 1))
    with pytest.raises(DataError, match="coarse positives have 3 blocks"):
        ScoreHistogram(counts, counts, np.zeros(3, np.int64), none)
    with pytest.raises(DataError, match="coarse negatives must be counts"):
        ScoreHistogram(counts, counts, none, none - 1)
    with pytest.raises(DataError, match="24 bins do not make 16 equal blocks"):
        ScoreHistogram.empty(24).coarsened()


def test_auc_of_as_many_studies_as_can_be_is_exact() -> None:
    merged = ScoreHistogram(np.array([0, 10**8]), np.array([10**8, 0]))
    assert (merged + merged + merged).auc() == 1


def test_error_bound_is_tight_where_one_bin_hides_a_perfect_order() -> None:
    merged = ScoreHistogram.from_scores([0.9, 0.9001], [0, 1])
    assert merged.auc() == 0.5
    assert merged.auc_error_bound() == 0.5


def test_interval_by_hand() -> None:
    # Positives win 2, 2 and 1 of 2 pairs: AUC 5/6; negatives are beaten by 3 and 2 of 3.
    merged = ScoreHistogram.from_scores([0.9, 0.8, 0.4, 0.6, 0.1], [1, 1, 1, 0, 0])
    variance = (2 * (1 / 6) ** 2 + (1 / 3) ** 2) / 2 / 3 + 2 * (1 / 6) ** 2 / 2
    assert merged.auc() == pytest.approx(5 / 6)
    assert merged.delong_variance() == pytest.approx(variance)
    reach = 1.959963985 * math.sqrt(variance) / (5 / 36)
    low, high = merged.auc_interval()
    assert math.log(high / (1 - high)) == pytest.approx(math.log(5) + reach)
    assert math.log(low / (1 - low)) == pytest.approx(math.log(5) - reach)


def test_plain_and_hanley_mcneil_intervals_by_hand() -> None:
    merged = ScoreHistogram.from_scores([0.9, 0.8, 0.4, 0.6, 0.1], [1, 1, 1, 0, 0])
    reach = 1.959963985 * math.sqrt(merged.delong_variance())
    assert merged.auc_interval(scale="plain") == pytest.approx((5 / 6 - reach, 5 / 6 + reach))
    assert merged.auc_interval(scale="plain")[1] > 1  # not clipped
    # A = 5/6, Q1 = 5/7, Q2 = 25/33, with 3 positives and 2 negatives.
    variance = (5 / 36 + 2 * (5 / 7 - 25 / 36) + (25 / 33 - 25 / 36)) / 6
    reach = 1.959963985 * math.sqrt(variance)
    assert hanley_mcneil_interval(merged) == pytest.approx((5 / 6 - reach, 5 / 6 + reach))
    low, high = hanley_mcneil_interval(merged, 0.5)
    assert high - low < 2 * reach / 2


@pytest.mark.parametrize(("labels", "reason"), [([0, 1], "perfectly separated"), ([0, 0], "no positive study")])
def test_hanley_mcneil_interval_is_undefined_with_words(labels: list[int], reason: str) -> None:
    with pytest.raises(UndefinedMetric, match=reason):
        hanley_mcneil_interval(ScoreHistogram.from_scores([0.1, 0.9], labels))


def test_roc_runs_from_corner_to_corner_and_has_the_area() -> None:
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 2, 200)
    merged = ScoreHistogram.from_scores(rng.beta(2 + 2 * labels, 3), labels)
    fpr, tpr = merged.roc()
    assert fpr.shape == tpr.shape == (merged.bins + 1,)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(tpr, fpr) == pytest.approx(merged.auc())


def test_bins_keep_two_decimals_apart_and_hold_the_ends() -> None:
    edges = bin_edges()
    assert edges.shape == (BINS + 1,)
    assert (np.diff(edges) > 0).all()
    assert bin_index([0.0, 1e-300, 1.0]).tolist() == [0, 0, BINS - 1]
    assert bin_index(bin_midpoints()).tolist() == list(range(BINS))
    assert bin_index(edges[1:-1]).tolist() == list(range(1, BINS))
    assert len(set(bin_index(np.arange(101) / 100).tolist())) == 101


@given(st.lists(st.one_of(st.floats(0, 1), SKEWED, SKEWED.map(lambda s: 1 - s)), max_size=20), BIN_COUNTS)
def test_index_is_that_of_a_search_among_the_edges(scores: list[float], bins: int) -> None:
    edges = bin_edges(bins)
    near = np.concatenate([scores, edges, np.nextafter(edges, 0), np.nextafter(edges, 1).clip(max=1)])
    assert bin_index(near, bins).tolist() == np.searchsorted(edges[1:-1], near, side="right").tolist()


def test_index_of_more_scores_than_are_done_at_once() -> None:
    scores = np.random.default_rng(1).random((2, 70_000))
    assert np.array_equal(bin_index(scores), np.searchsorted(bin_edges()[1:-1], scores, side="right"))
    assert bin_index([]).shape == (0,)


@pytest.mark.parametrize(
    ("middle", "spread", "prevalence"), [(0.3, 0.03, 0.5), (-3.0, 0.05, 0.03), (-1.0, 1.5, 0.5), (-4.0, 1.0, 0.02)]
)
def test_binning_hardly_moves_the_auc(middle: float, spread: float, prevalence: float) -> None:
    """A network that has learned little crowds its scores; a rare finding has them far out."""
    rng = np.random.default_rng(2)
    labels = (rng.random(20_000) < prevalence).astype(int)
    scores = 1 / (1 + np.exp(-rng.normal(middle + spread * labels, spread)))
    assert abs(ScoreHistogram.from_scores(scores, labels).auc() - roc_auc_score(labels, scores)) < 0.01


def test_unknown_labels_are_dropped() -> None:
    merged = ScoreHistogram.from_scores([0.2, 0.7, 0.9], np.array([0, -1, 1], np.int8))
    assert (merged.studies, merged.positive_count, merged.negative_count) == (2, 1, 1)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.5, math.nan], [0, 1], "1 of 2 scores .* nan"),
        ([0.5, 1.5], [0, 1], r"\[0, 1\], the first is 1.5"),
        ([math.nan], [-1], "diverged"),
        ([0.5], [2], "label 2 is not 0, 1 or -1"),
        ([0.5], [0.5], "label 0.5"),
        ([0.5, 0.6], [1], "2 scores but 1 labels"),
    ],
)
def test_scores_that_cannot_be_counted(scores: list[float], labels: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ScoreHistogram.from_scores(scores, labels)


@pytest.mark.parametrize("counts", [[1], [-1, 2], [0.5, 1.0], [[1, 2], [3, 4]], []])
def test_counts_that_are_no_histogram(counts: list[float]) -> None:
    with pytest.raises(DataError, match="positives must be counts"):
        ScoreHistogram(np.array(counts), np.array([1, 2]))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.array([1, 2**64 - 1], np.uint64), "negatives must be counts"),
        (np.array([0, 2**62]), "negatives are more than 100,000,000"),
        (np.full(4, 2**62), "negatives are more than 100,000,000"),  # their sum is 0 in 64 bits
        (np.array([10**8, 1]), "negatives are more than 100,000,000"),
    ],
)
def test_counts_too_large_to_be_multiplied_are_refused(counts: NDArray[np.int64], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ScoreHistogram(np.zeros(counts.size, np.int64), counts)


def test_different_bins_are_refused_with_both_sizes() -> None:
    with pytest.raises(DataError, match="64 bins cannot be added to 32"):
        ScoreHistogram.empty(64) + ScoreHistogram.empty(32)
    with pytest.raises(DataError, match="positives have 2 bins but negatives 3"):
        ScoreHistogram(np.array([1, 2]), np.array([1, 2, 3]))
    with pytest.raises(DataError, match="at least 2 bins"):
        ScoreHistogram.from_scores([0.5], [1], bins=1)


def test_histogram_cannot_be_changed_and_keeps_its_own_copy() -> None:
    counts = np.array([1, 2])
    merged = ScoreHistogram(counts, counts)
    counts[0] = 9
    assert merged.positives.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        merged.positives[0] = 5
    with pytest.raises(FrozenInstanceError):
        merged.positives = counts  # type: ignore[misc]


@pytest.mark.parametrize(
    ("patients", "auc", "reason"),
    [
        ([], None, "there is no study"),
        ([(0.3, 0), (0.4, 0)], None, "no positive study among 2"),
        ([(0.3, 1)], None, "no negative study among 1"),
        ([(0.3, 0), (0.2, 0), (0.4, 1)], 1.0, "needs two positive studies"),
        ([(0.1, 0), (0.2, 0), (0.8, 1), (0.9, 1)], 1.0, "perfectly separated"),
        ([(0.1, 1), (0.2, 1), (0.8, 0), (0.9, 0)], 0.0, "perfectly separated"),
        ([(0.5, 1), (0.5, 1), (0.5, 0), (0.5, 0)], 0.5, "all scores are tied"),
    ],
)
def test_undefined_figures_say_why(patients: Patients, auc: float | None, reason: str) -> None:
    merged = histogram(patients)
    record = summary(merged)
    assert (record["auc"], record["auc_low"], record["auc_high"]) == (auc, None, None)
    assert reason in record["undefined"]
    with pytest.raises(UndefinedMetric, match=reason):
        merged.auc_interval()
    if auc is None:
        assert record["error_bound"] is None
        for figure in (merged.auc, merged.auc_error_bound, merged.roc, merged.delong_variance):
            with pytest.raises(UndefinedMetric, match="the AUC is undefined"):
                figure()


def test_summary_is_one_record_fit_for_json() -> None:
    merged = ScoreHistogram.from_scores([0.9, 0.8, 0.4, 0.6, 0.1], [1, 1, 1, 0, 0])
    record = json.loads(json.dumps(summary(merged)))
    low, high = merged.auc_interval()
    assert record == {
        "studies": 5,
        "positives": 3,
        "auc": merged.auc(),
        "auc_low": low,
        "auc_high": high,
        "error_bound": 0.0,
        "undefined": None,
        "auprc": average_precision(merged),
        "auprc_low": average_precision_interval(merged)[0],
        "auprc_high": average_precision_interval(merged)[1],
    }


def test_summary_has_an_average_precision_where_only_the_interval_of_the_auc_is_missing() -> None:
    record = summary(ScoreHistogram.from_scores([0.5, 0.5, 0.5, 0.5], [1, 1, 0, 0]))
    assert "all scores are tied" in record["undefined"]
    assert record["auprc"] == 0.5
    assert record["auprc_low"] < 0.5 < record["auprc_high"]


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_level_must_be_a_share(level: float) -> None:
    with pytest.raises(DataError, match="confidence level"):
        ScoreHistogram.from_scores([0.1, 0.9], [0, 1]).auc_interval(level)
