"""How good the masks of a federation are, from sums of whole numbers: they merge in any order to the same figures.

Dice is summed in millionths, volumes in microlitres. What says whether the two heads agree are four counts.
"""

import math
from dataclasses import dataclass, fields
from operator import index
from typing import Any, Final

from bloodnet_model.errors import DataError

_MILLION: Final = 1_000_000
_UL_A_ML: Final = 1000
_LIMITS: Final = 1.96  # Bland and Altman's, standard deviations to each side


@dataclass(frozen=True)
class SegmentationSums:
    """A site's answer; `a + b` is that of the two sites' patients together.

    dice_millionths:        sum of the Dice scores of `dice_studies` studies with drawn blood
    false_positive_ul:      sum of the volumes outlined in `negatives` studies without hemorrhage
    difference_ul:          sum of predicted minus drawn volume of `volumes` studies
    difference_squares_ul2: sum of the squares of these differences
    called_without_mask:    of `called` studies, whose score is the threshold or more, those with an empty mask
    mask_without_call:      of `not_called` studies, those with a mask

    Raises DataError where a number is not whole, or they do not fit each other.
    """

    dice_millionths: int = 0
    dice_studies: int = 0
    false_positive_ul: int = 0
    negatives: int = 0
    difference_ul: int = 0
    difference_squares_ul2: int = 0
    volumes: int = 0
    called: int = 0
    called_without_mask: int = 0
    not_called: int = 0
    mask_without_call: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _whole(getattr(self, field.name), field.name))
        for name, holds in self._what_holds().items():
            if not holds:
                raise DataError(f"segmentation sums: {name} cannot be, in {self}; send the sums as they were counted.")

    def __add__(self, other: object) -> "SegmentationSums":
        if not isinstance(other, SegmentationSums):
            return NotImplemented
        names = [field.name for field in fields(self)]
        return SegmentationSums(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def as_record(self, threshold: float | None = None) -> dict[str, Any]:
        """Fit for JSON: the fields of `run_metrics.Segmentation`, None where there is nobody.

        `threshold` is the one that the studies were called at; without it the two heads are not compared.
        """
        record = {
            "dice": self.dice_millionths / _MILLION / self.dice_studies if self.dice_studies else None,
            "dice_studies": self.dice_studies,
            "false_positive_ml": self.false_positive_ul / _UL_A_ML / self.negatives if self.negatives else None,
            "negatives": self.negatives,
            "volume": self._volume_agreement(),
            "threshold": threshold,
        }
        heads = ("called", "called_without_mask", "not_called", "mask_without_call")
        return record | {name: None if threshold is None else getattr(self, name) for name in heads}

    def _volume_agreement(self) -> dict[str, Any] | None:
        """Mean difference and limits of agreement (Bland and Altman, Lancet 1986); the limits need two studies."""
        if not self.volumes:
            return None
        mean_ml = self.difference_ul / self.volumes / _UL_A_ML
        record: dict[str, Any] = {"studies": self.volumes, "mean_difference_ml": mean_ml}
        if self.volumes == 1:
            return record | {"low_ml": None, "high_ml": None}
        reach = _LIMITS * math.sqrt(self._deviations() / (self.volumes * (self.volumes - 1))) / _UL_A_ML
        return record | {"low_ml": mean_ml - reach, "high_ml": mean_ml + reach}

    def _deviations(self) -> int:
        """The number of studies times the sum of squared deviations from the mean, exactly."""
        return self.volumes * self.difference_squares_ul2 - self.difference_ul**2

    def _what_holds(self) -> dict[str, bool]:
        """By what would be wrong, whether it is right."""
        signed = {"difference_ul"}
        counts = {f"{f.name} below 0": getattr(self, f.name) >= 0 for f in fields(self) if f.name not in signed}
        return counts | {
            "a Dice score above 1": self.dice_millionths <= _MILLION * self.dice_studies,
            "a false-positive volume of nobody": self.negatives > 0 or self.false_positive_ul == 0,
            "a volume difference of nobody": self.volumes > 0 or self.difference_ul == self.difference_squares_ul2 == 0,
            "a sum of squares below what the sum demands": self._deviations() >= 0,  # Cauchy and Schwarz
            "more called_without_mask than called": self.called_without_mask <= self.called,
            "more mask_without_call than not_called": self.mask_without_call <= self.not_called,
        }


def _whole(value: object, name: str) -> int:
    """A Python integer, which no square overflows."""
    try:
        return int(index(value))  # type: ignore[arg-type]  # that it may not be one is what is asked
    except TypeError:
        raise DataError(f"segmentation sums: {name} is {value!r}, no whole number; send counts and sums.") from None
