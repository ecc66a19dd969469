"""What a triage simulation assumes. A field's description says where its default comes from."""

import math
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ConfigDict, Field

from bloodnet_model.errors import SettingsError
from bloodnet_model.settings import Settings, validated

MINUTES_PER_DAY: Final = 24 * 60
_LONGEST_MARGIN_DAYS: Final = 100


class BenefitSettings(Settings):
    """A department, and how long it is looked at."""

    model_config = ConfigDict(allow_inf_nan=False)

    arrivals_per_hour: float = Field(3.0, gt=0, description="assumed: 72 a day")
    reading_minutes: float = Field(
        16.0, gt=0, description="mean of 44,743 head CTs; Sexauer and Bestler, 2022, doi 10.3390/jimaging8080208"
    )
    reading_sd_minutes: float = Field(8.0, ge=0, description="assumed: half of the mean")
    radiologists: int = Field(1, ge=1, description="assumed: one on call")
    prevalence: float = Field(
        0.16, gt=0, lt=1, description="BloodNet's random test set from 10 hospitals, arXiv 1907.00148"
    )
    scoring_seconds: float = Field(60.0, ge=0, description="assumed: transfer, queue and network")
    days: float = Field(30.0, gt=0)
    warm_up_days: float | None = Field(None, ge=0)
    replications: int = Field(30, ge=2)
    seed: int = Field(0, ge=0)

    @property
    def utilisation(self) -> float:
        """Share of their time that the radiologists read."""
        return self.arrivals_per_hour / 60 * self.reading_minutes / self.radiologists

    @property
    def margin_days(self) -> float:
        """What is simulated but not counted at either end: an empty worklist at first, nobody new at last.

        By default twice the relaxation time of M/M/c, 1 / (c μ (1 - √ρ)²), in which a queue forgets how it began.
        """
        if self.warm_up_days is not None:
            return self.warm_up_days
        relaxation_minutes = self.reading_minutes / self.radiologists / (1 - math.sqrt(self.utilisation)) ** 2
        return 2 * relaxation_minutes / MINUTES_PER_DAY


def benefit_settings(given: Mapping[str, Any]) -> BenefitSettings:
    """Settings with the defaults for what is None in `given`; raises SettingsError, also for a queue without end."""
    settings = validated(BenefitSettings, {name: value for name, value in given.items() if value is not None})
    load = f"{settings.arrivals_per_hour:g} studies an hour, {settings.reading_minutes:g} minutes each,"
    if settings.utilisation >= 1:
        enough = math.floor(settings.utilisation * settings.radiologists) + 1
        raise SettingsError(
            f"radiologists: {load} are {settings.utilisation:.0%} of what {settings.radiologists} can read, so the "
            f"worklist grows without end; give at least {enough}, or fewer arrivals_per_hour."
        )
    if settings.warm_up_days is None and settings.margin_days > _LONGEST_MARGIN_DAYS:
        raise SettingsError(
            f"warm_up_days: {load} are {settings.utilisation:.2%} of what {settings.radiologists} can read, a load at "
            f"which the worklist takes {settings.margin_days:.0f} days to settle; set them yourself, or give fewer "
            "arrivals_per_hour."
        )
    return settings
