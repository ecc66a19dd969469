from itertools import chain

import numpy as np
import pytest

from client.tested_site import TestedSite
from simulation.paired_comparison import bootstrap_interval, compared, pooled


def sites(count: int, gain: float, seed: int = 0) -> list[TestedSite]:
    """Three hospitals whose patients two ways of training score, from two seeds each."""
    rng = np.random.default_rng(seed)
    found = []
    for name in ("a", "b", "c"):
        labels = rng.permutation(np.arange(count) % 2).astype(np.int8)
        patient = rng.normal(1.2 * labels, 1.0)
        scores = {
            f"{way}-{seed}": 1 / (1 + np.exp(-(patient + extra * labels + rng.normal(0, 0.4, count))))
            for way, extra in (("better", gain), ("worse", 0.0))
            for seed in (0, 1)
        }
        found.append(TestedSite(name, labels, np.arange(count), scores))
    return found


NETWORKS = {"better": ["better-0", "better-1"], "worse": ["worse-0", "worse-1"]}


def test_the_better_way_is_found_and_the_same_twice() -> None:
    tested = sites(60, gain=1.0)
    comparison = compared(tested, "better", "worse", NETWORKS, seed=3)
    aucs = {name: histogram.auc() for name, histogram in pooled(tested, chain(*NETWORKS.values())).items()}
    expected = np.mean([aucs[f"better-{i}"] - aucs[f"worse-{i}"] for i in (0, 1)])
    assert comparison.difference.delta == pytest.approx(expected)
    assert comparison.interval is not None
    assert comparison.interval[0] > 0
    assert compared(tested, "better", "worse", NETWORKS, seed=3) == comparison
    record = comparison.as_record()
    assert record["studies"] == 180
    assert record["studies_to_decide"] == 180  # these many have decided it


def test_bootstrap_and_delong_agree_on_new_patients() -> None:
    tested = sites(120, gain=0.4, seed=5)
    comparison = compared(tested, "better", "worse", NETWORKS, seed=0)
    delong = comparison.difference.patient_interval()
    assert comparison.bootstrap == pytest.approx(delong, abs=0.15 * (delong[1] - delong[0]))


def test_patients_who_come_several_times_widen_the_bootstrap() -> None:
    tested = sites(60, gain=0.4)
    together = [
        TestedSite(
            site.name,
            np.repeat(site.labels, 4),
            np.repeat(site.patients, 4),
            {name: np.repeat(scores, 4) for name, scores in site.scores.items()},
        )
        for site in tested
    ]
    apart = [TestedSite(s.name, s.labels, np.arange(s.labels.size), s.scores) for s in together]
    widths = [
        high - low
        for low, high in (
            bootstrap_interval(of, NETWORKS["better"], NETWORKS["worse"], seed=1) for of in (tested, together, apart)
        )
    ]
    assert widths[1] == pytest.approx(widths[0], rel=1e-9)
    assert widths[2] < 0.7 * widths[0]


def test_two_ways_that_rank_alike_have_no_interval() -> None:
    tested = sites(20, gain=0.0)
    record = compared(tested, "better", "better", NETWORKS, seed=0).as_record()
    assert record["delta"] == 0
    assert record["interval"] is None
    assert record["patients_delong"] is None
    assert record["studies_to_decide"] is None
