import numpy as np
import pytest

from bloodnet_model.metrics import BINS, ScoreHistogram, bin_index
from client.tested_site import TestedSite


@pytest.fixture
def site() -> TestedSite:
    rng = np.random.default_rng(0)
    labels = np.array([1, 0, 1, 0, 0, 1, -1, 0], np.int8)
    patients = np.array([0, 1, 2, 3, 3, 4, 5, 6])
    return TestedSite("one", labels, patients, {name: rng.random(8) for name in "abcd"})


def test_a_histogram_counts_known_labels(site: TestedSite) -> None:
    assert site.histogram("a") == ScoreHistogram.from_scores(site.scores["a"], site.labels)
    assert site.histogram("a").studies == 7


def test_its_part_of_a_comparison_names_nobody(site: TestedSite) -> None:
    pooled = {name: site.histogram(name) for name in "abcd"}
    sums = site.reader_sums(("a", "b"), ("c", "d"), pooled)
    assert (sums.together.positives.studies, sums.together.negatives.studies) == (3, 4)
    assert sums.together.positives.sum == sum(one.positives.sum for one in sums.by_seed)


def test_drawn_anew_patients_come_with_all_their_studies(site: TestedSite) -> None:
    counts = site.resampled(["a", "b"], 200, np.random.default_rng(1))
    assert counts.shape == (2, 2, 200, BINS)
    assert (counts[0].sum(-1) == counts[1].sum(-1)).all()  # both networks see the same draws
    bins = bin_index(site.scores["a"])
    assert bins[3] != bins[4]
    assert (counts[0, 0, :, bins[3]] == counts[0, 0, :, bins[4]]).all()
    assert counts[0, 0, :, bins[3]].max() > 1


def test_as_many_patients_are_drawn_as_there_are(site: TestedSite) -> None:
    alone = TestedSite("two", np.ones(6, np.int8), np.arange(6), {"a": np.linspace(0.1, 0.9, 6)})
    counts = alone.resampled(["a"], 50, np.random.default_rng(2))
    assert (counts.sum((0, 1, 3)) == 6).all()
    assert counts[0, 1].mean(0)[bin_index([0.1])[0]] == pytest.approx(1, abs=0.4)
