"""Which patients train, validate and test: decided by the patient, so that no patient is on two sides."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from bloodnet_model.splits import Split
from client.site_settings import SiteSettings


def split_patients(
    positive: Mapping[str, bool], validation_share: float, test_share: float, seed: int
) -> dict[str, Split]:
    """Split of every patient, from whether any study of theirs is positive.

    Positives and negatives are dealt apart, so that each split gets its share of both; within each, patients come in
    the order of a keyed hash of their identifier. The same patients and seed give the same splits on every machine.
    """
    splits: dict[str, Split] = {}
    for side in (True, False):
        patients = sorted(
            (patient for patient in positive if positive[patient] is side),
            key=lambda patient: hashlib.sha256(f"{seed}\x1f{patient}".encode()).digest(),
        )
        # Rounding the running total, not each share, keeps every split within one patient of its share.
        tests = _rounded(test_share * len(patients))
        held_out = _rounded((test_share + validation_share) * len(patients))
        for index, patient in enumerate(patients):
            splits[patient] = "test" if index < tests else "validation" if index < held_out else "train"
    return splits


class StudyOfPatient(Protocol):
    """What decides a study's split: `hemorrhage` is 1, 0 or -1 (unknown), `split` what labels.csv gives, if any."""

    @property
    def uid(self) -> str: ...
    @property
    def patient(self) -> str: ...
    @property
    def hemorrhage(self) -> int: ...
    @property
    def split(self) -> Split | None: ...


def split_studies(settings: SiteSettings, studies: Iterable[StudyOfPatient]) -> dict[str, Split]:
    """Split of every study, by UID: that of its patient, which labels.csv gives or else `split_patients`."""
    patients: dict[str, str] = {}
    given: dict[str, Split] = {}
    positive: dict[str, bool] = {}
    for study in studies:
        patients[study.uid] = study.patient
        positive[study.patient] = positive.get(study.patient, False) or study.hemorrhage == 1
        if study.split is not None:
            given[study.patient] = study.split
    free = {patient: side for patient, side in positive.items() if patient not in given}
    dealt = split_patients(free, settings.validation_share, settings.test_share, settings.split_seed)
    return {uid: given.get(patient) or dealt[patient] for uid, patient in patients.items()}


def _rounded(share: float) -> int:
    return int(share + 0.5)
