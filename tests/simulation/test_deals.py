"""Deals of patients to virtual hospitals: what holds of every one of them, and what the skewed ones are for."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from simulation.deals import DEALINGS, Dealing, DealtPatient, deal

SUBTYPES = CLASSES[1:]


def patients(count: int, seed: int = 0) -> list[DealtPatient]:
    rng = np.random.default_rng(seed)
    return [
        DealtPatient(
            name=f"P{i:04d}",
            studies=int(rng.integers(1, 3)),
            classes=frozenset() if i % 2 else frozenset({"any", SUBTYPES[i // 2 % 5]}),
            scanner=f"scanner {rng.integers(9)}",
        )
        for i in range(count)
    ]


@given(
    partition=st.sampled_from(DEALINGS),
    count=st.integers(1, 120),
    hospitals=st.integers(1, 8),
    seed=st.integers(0, 9),
    alpha=st.sampled_from([0.1, 1.0, 100.0]),
    order=st.randoms(use_true_random=False),
)
def test_every_patient_goes_to_one_hospital_whatever_the_order(
    partition: Dealing, count: int, hospitals: int, seed: int, alpha: float, order: object
) -> None:
    everyone = patients(count)
    shuffled = list(everyone)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    try:
        dealt = deal(everyone, hospitals, partition, np.random.default_rng(seed), alpha)
    except DataError:
        assume(False)
    assert dealt.keys() == {patient.name for patient in everyone}
    assert set(dealt.values()) == set(range(hospitals))
    assert dealt == deal(shuffled, hospitals, partition, np.random.default_rng(seed), alpha)


def skew(alpha: float, partition: Dealing) -> float:
    """Mean over seeds of the spread between hospitals: of the subtypes' shares, or of sizes."""
    everyone = patients(600)
    spreads = []
    for seed in range(20):
        dealt = deal(everyone, 4, partition, np.random.default_rng(seed), alpha, min_studies=0)
        table = np.zeros((4, 6))
        for patient in everyone:
            column = next((j for j, name in enumerate(SUBTYPES) if name in patient.classes), 5)
            table[dealt[patient.name], column] += 1
        cells = table if partition == "dirichlet" else table.sum(axis=1, keepdims=True)
        spreads.append((cells / cells.sum(axis=0)).std(axis=0).mean())
    return float(np.mean(spreads))


@pytest.mark.parametrize("partition", ["dirichlet", "quantity"])
def test_skew_grows_as_alpha_falls(partition: Dealing) -> None:
    spreads = [skew(alpha, partition) for alpha in (100.0, 5.0, 1.0, 0.2)]
    assert all(smaller < larger for smaller, larger in pairwise(spreads))
    assert spreads[0] < 0.03
    assert spreads[-1] > 0.2


def test_quantity_keeps_the_prevalence() -> None:
    everyone = patients(600)
    dealt = deal(everyone, 3, "quantity", np.random.default_rng(1), 1.0, min_studies=60)
    for hospital in range(3):
        here = [patient for patient in everyone if dealt[patient.name] == hospital]
        assert 0.45 < np.mean([bool(patient.classes) for patient in here]) < 0.55


def test_a_scanner_is_at_one_hospital() -> None:
    everyone = patients(200)
    dealt = deal(everyone, 3, "scanner", np.random.default_rng(0))
    places = {(patient.scanner, dealt[patient.name]) for patient in everyone}
    assert len(places) == 9
    sizes = Counter(dealt.values())
    assert max(sizes.values()) < 2 * min(sizes.values())


def test_least_studies_are_kept_or_the_remedy_is_said() -> None:
    everyone = patients(60)
    dealt = deal(everyone, 4, "dirichlet", np.random.default_rng(0), 0.3, min_studies=10)
    held = Counter[int]()
    for patient in everyone:
        held[dealt[patient.name]] += patient.studies
    assert min(held.values()) >= 10
    with pytest.raises(DataError, match="no deal gives each of 4 sites 40 studies"):
        deal(everyone, 4, "dirichlet", np.random.default_rng(0), 0.3, min_studies=40)
    with pytest.raises(DataError, match="60 patients cannot be dealt to 61 sites"):
        deal(everyone, 61, "iid", np.random.default_rng(0))
    with pytest.raises(DataError, match="9 scanners cannot be dealt to 12 sites; give --sites 9"):
        deal(patients(200), 12, "scanner", np.random.default_rng(0))
