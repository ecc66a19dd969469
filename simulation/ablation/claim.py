"""The claim that classification gains from its dependence on the segmentation, and the rule that it stands or falls by.

The rule was fixed before any arm was trained.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from simulation.paired_comparison import Comparison

CLAIMED: Final = "dependent"
RIVALS: Final = ("independent", "attention")
CAPACITY: Final = "shuffled"

RULE: Final = (
    "The claim holds if the 95 % interval of dependent minus the better of independent and attention lies above 0, and "
    "dependent exceeds shuffled. It fails if that interval lies below 0, or dependent does not exceed shuffled. "
    "Between the two it is undecided, and must not be called shown. AUCs are means over the seeds on the test "
    "patients; the interval is for new patients and new trainings."
)


@dataclass(frozen=True)
class Verdict:
    """What the rule says; `why` is one sentence."""

    says: Literal["holds", "fails", "undecided"]
    rival: str
    why: str


def verdict(aucs: Mapping[str, float], against: Mapping[str, Comparison]) -> Verdict | None:
    """The rule applied to the mean AUC of each link, and to `dependent` minus each other one.

    None where `dependent`, `shuffled` or both rivals were not trained: then the rule says nothing.
    """
    rivals = [link for link in RIVALS if link in against]
    if CAPACITY not in against or len(rivals) < len(RIVALS):
        return None
    rival = max(rivals, key=lambda link: aucs[link])
    if aucs[CLAIMED] <= aucs[CAPACITY]:
        return Verdict(
            "fails", rival, f"{CLAIMED} ({aucs[CLAIMED]:.3f}) does not exceed {CAPACITY} ({aucs[CAPACITY]:.3f})."
        )
    comparison = against[rival]
    interval = comparison.interval
    difference = f"{CLAIMED} minus {rival} is {comparison.difference.delta:+.3f}"
    if interval is None:
        return Verdict("undecided", rival, f"{difference}: both rank every patient alike.")
    low, high = interval
    difference += f" ({low:+.3f} to {high:+.3f})"
    if low > 0:
        return Verdict("holds", rival, f"{difference}, above 0, and {CLAIMED} exceeds {CAPACITY}.")
    if high < 0:
        return Verdict("fails", rival, f"{difference}, below 0.")
    return Verdict("undecided", rival, f"{difference}, which holds 0; {_what_would_decide(comparison)}.")


def _what_would_decide(comparison: Comparison) -> str:
    needed = comparison.difference.studies_to_decide()
    if needed is None:
        return "with so many seeds no number of such studies would decide it"
    enough, read = _two_digits(needed), comparison.difference.studies
    return f"about {enough:,} such test studies would decide it if the difference stayed as it is ({read:,} were read)"


def _two_digits(count: int) -> int:
    """Rounded up to two digits: more would pretend to know."""
    unit = int(10 ** max(0, len(str(count)) - 2))
    return math.ceil(count / unit) * unit
