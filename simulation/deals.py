"""Which virtual hospital each patient goes to: pure functions of who the patients are and a random generator.

A deal gives every patient one hospital, so no patient is ever in two. Skews as in Hsu, Qi and Brown (2019,
arXiv 1909.06335): shares of the hospitals are drawn from a Dirichlet distribution, more uneven as alpha falls.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES

Dealing = Literal["iid", "dirichlet", "quantity", "label-kind", "scanner"]
DEALINGS: Final = get_args(Dealing)

_TRIES: Final = 1_000
"""Draws of a skewed deal before it is said that none gives every hospital enough."""


@dataclass(frozen=True)
class DealtPatient:
    """What a deal looks at.

    name:    of the patient; those of two hospitals never share one
    studies: how many
    classes: of `bloodnet_model.labels.CLASSES`, those that any study of the patient shows
    scanner: on which the first study was made
    """

    name: str
    studies: int
    classes: frozenset[str]
    scanner: str

    @property
    def stratum(self) -> str:
        """The rarest kind of hemorrhage that the patient has (order of RSNA 2019's prevalences), or none."""
        return next((name for name in _RAREST_FIRST if name in self.classes), "none")


_RAREST_FIRST: Final = ("epidural", "intraventricular", "intraparenchymal", "subarachnoid", "subdural", CLASSES[0])

Deal = Mapping[str, int]
"""Number of the hospital, from 0, by patient."""


def deal(
    patients: Sequence[DealtPatient],
    hospitals: int,
    partition: Dealing,
    rng: np.random.Generator,
    alpha: float = 0.5,
    min_studies: int = 1,
) -> Deal:
    """Deal the patients, whose order does not matter, to `hospitals` hospitals of at least `min_studies` studies each.

    Raises DataError where that cannot be.
    """
    ordered = sorted(patients, key=lambda patient: patient.name)
    if len(ordered) < hospitals:
        raise DataError(f"{len(ordered)} patients cannot be dealt to {hospitals} sites; give a smaller --sites.")
    if partition in ("dirichlet", "quantity"):
        draw = _dirichlet if partition == "dirichlet" else _quantity
        return _large_enough(ordered, hospitals, min_studies, lambda: draw(ordered, hospitals, alpha, rng))
    dealt = _by_scanner(ordered, hospitals) if partition == "scanner" else _alike(ordered, hospitals, rng)
    if _smallest(ordered, dealt, hospitals) < min_studies:
        raise _too_small(hospitals, min_studies)
    return dealt


def _alike(patients: Sequence[DealtPatient], hospitals: int, rng: np.random.Generator) -> Deal:
    """Positive and negative patients in turn, so that hospitals are alike in size and prevalence."""
    shuffled = [patients[i] for i in rng.permutation(len(patients))]
    order = sorted(shuffled, key=lambda patient: not patient.classes)
    return {patient.name: place % hospitals for place, patient in enumerate(order)}


def _quantity(patients: Sequence[DealtPatient], hospitals: int, alpha: float, rng: np.random.Generator) -> Deal:
    """Hospitals of unequal size and, as far as their size allows, equal prevalence."""
    shares = rng.dirichlet(np.full(hospitals, alpha))
    return _by_shares(_strata(patients), lambda: shares, rng)


def _dirichlet(patients: Sequence[DealtPatient], hospitals: int, alpha: float, rng: np.random.Generator) -> Deal:
    """Each kind of hemorrhage, and its absence, shared out on its own."""
    return _by_shares(_strata(patients), lambda: rng.dirichlet(np.full(hospitals, alpha)), rng)


def _by_shares(
    strata: Mapping[str, Sequence[DealtPatient]], shares: Callable[[], np.ndarray], rng: np.random.Generator
) -> Deal:
    dealt: dict[str, int] = {}
    for _, patients in sorted(strata.items()):
        share = shares()
        ends = np.rint(np.cumsum(share) * len(patients)).astype(int)[:-1]
        hospital_of = np.searchsorted(ends, np.arange(len(patients)), side="right")
        for place, i in enumerate(rng.permutation(len(patients))):
            dealt[patients[i].name] = int(hospital_of[place])
    return dealt


def _by_scanner(patients: Sequence[DealtPatient], hospitals: int) -> Deal:
    """All patients of a scanner at one hospital; the scanner with most studies goes first, to the emptiest one."""
    scanners: defaultdict[str, list[DealtPatient]] = defaultdict(list)
    for patient in patients:
        scanners[patient.scanner].append(patient)
    if len(scanners) < hospitals:
        raise DataError(
            f"{len(scanners)} scanner{'s' if len(scanners) > 1 else ''} cannot be dealt to {hospitals} sites; "
            f"give --sites {len(scanners)} or another --partition."
        )
    held = [0] * hospitals
    dealt: dict[str, int] = {}
    for _, members in sorted(scanners.items(), key=lambda item: (-_studies(item[1]), item[0])):
        emptiest = held.index(min(held))
        held[emptiest] += _studies(members)
        dealt |= {patient.name: emptiest for patient in members}
    return dealt


def _strata(patients: Sequence[DealtPatient]) -> Mapping[str, Sequence[DealtPatient]]:
    strata: defaultdict[str, list[DealtPatient]] = defaultdict(list)
    for patient in patients:
        strata[patient.stratum].append(patient)
    return strata


def _large_enough(patients: Sequence[DealtPatient], hospitals: int, min_studies: int, draw: Callable[[], Deal]) -> Deal:
    for _ in range(_TRIES):
        dealt = draw()
        if _smallest(patients, dealt, hospitals) >= min_studies:
            return dealt
    raise _too_small(hospitals, min_studies)


def _smallest(patients: Sequence[DealtPatient], dealt: Deal, hospitals: int) -> int:
    held = [0] * hospitals
    for patient in patients:
        held[dealt[patient.name]] += patient.studies
    return min(held)


def _studies(patients: Sequence[DealtPatient]) -> int:
    return sum(patient.studies for patient in patients)


def _too_small(hospitals: int, min_studies: int) -> DataError:
    return DataError(
        f"no deal gives each of {hospitals} sites {min_studies} studies; "
        "give a smaller --sites or --min-studies, or, where the deal is skewed, a larger --alpha."
    )
