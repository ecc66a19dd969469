"""Splits by patient."""

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given

from client.splits import split_patients

PATIENTS = {f"P{k}": k % 5 == 0 for k in range(200)}  # one in five is positive


def test_every_split_gets_its_share_of_both_sides() -> None:
    splits = split_patients(PATIENTS, validation_share=0.2, test_share=0.25, seed=0)
    for positive, share in ((True, 40), (False, 160)):
        counts = Counter(splits[patient] for patient in PATIENTS if PATIENTS[patient] is positive)
        assert counts == {"test": 0.25 * share, "validation": 0.2 * share, "train": 0.55 * share}


def test_the_seed_decides_and_the_order_does_not() -> None:
    splits = split_patients(PATIENTS, 0.2, 0.25, seed=0)
    assert split_patients(dict(reversed(PATIENTS.items())), 0.2, 0.25, seed=0) == splits
    assert split_patients(PATIENTS, 0.2, 0.25, seed=1) != splits


def test_the_splits_are_the_same_on_every_machine() -> None:
    splits = split_patients(dict.fromkeys("abcdefgh", True), 0.25, 0.25, seed=0)
    assert {patient: split for patient, split in splits.items() if split != "train"} == {
        "c": "test",
        "g": "test",
        "d": "validation",
        "h": "validation",
    }


def test_one_patient_trains() -> None:
    assert split_patients({"a": True}, 0.2, 0.25, seed=3) == {"a": "train"}


@given(
    patients=st.dictionaries(st.text(), st.booleans(), max_size=60),
    shares=st.tuples(st.floats(0, 0.5), st.floats(0, 0.49)),
    seed=st.integers(0, 2**32),
)
def test_every_patient_is_in_one_split_near_its_share(
    patients: dict[str, bool], shares: tuple[float, float], seed: int
) -> None:
    validation_share, test_share = shares
    splits = split_patients(patients, validation_share, test_share, seed)
    assert splits.keys() == patients.keys()
    for positive in (True, False):
        side = [splits[patient] for patient in patients if patients[patient] is positive]
        assert side.count("test") == pytest.approx(test_share * len(side), abs=0.5)
        assert side.count("validation") == pytest.approx(validation_share * len(side), abs=1)
