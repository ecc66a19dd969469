"""The worklist as a queue: studies arrive, and each free radiologist takes the most urgent one (SimPy)."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import simpy
from numpy.typing import NDArray

from simulation.triage_benefit.settings import MINUTES_PER_DAY, BenefitSettings

UNSCORED: Final = 0
"""Priority of a study without a score; a smaller number is more urgent."""


@dataclass(frozen=True, eq=False)
class Caseload:
    """Studies in the order of their arrival, each field (studies,).

    positive: with intracranial hemorrhage
    quantile: of the study's score among its class, in [0, 1): one caseload serves any classifier
    counted:  within the days that are looked at
    """

    arrival_minutes: NDArray[np.float64]
    reading_minutes: NDArray[np.float64]
    positive: NDArray[np.bool_]
    quantile: NDArray[np.float64]
    counted: NDArray[np.bool_]


def draw_caseload(settings: BenefitSettings, rng: np.random.Generator) -> Caseload:
    """Poisson arrivals at a constant rate, lognormal reading times."""
    margin_minutes = settings.margin_days * MINUTES_PER_DAY
    end_minutes = margin_minutes + settings.days * MINUTES_PER_DAY
    span_minutes = end_minutes + margin_minutes
    studies = int(rng.poisson(span_minutes * settings.arrivals_per_hour / 60))
    arrival_minutes = np.sort(rng.uniform(0, span_minutes, studies))
    log_variance = np.log1p((settings.reading_sd_minutes / settings.reading_minutes) ** 2)
    log_mean = np.log(settings.reading_minutes) - log_variance / 2
    return Caseload(
        arrival_minutes=arrival_minutes,
        reading_minutes=rng.lognormal(log_mean, np.sqrt(log_variance), studies),
        positive=rng.random(studies) < settings.prevalence,
        quantile=rng.random(studies),
        counted=(arrival_minutes >= margin_minutes) & (arrival_minutes < end_minutes),
    )


def minutes_to_reading(
    arrival_minutes: NDArray[np.float64],
    reading_minutes: NDArray[np.float64],
    priorities: NDArray[np.int64],
    radiologists: int,
    scoring_minutes: float = 0.0,
) -> NDArray[np.float64]:
    """Minutes from arrival to the start of reading (studies,); what arrived earlier goes first among equals.

    A reading begun is finished. Until its score is there, a study stands where one without a score stands, and is
    read if a radiologist is free.
    """
    environment = simpy.Environment()
    readers = simpy.PriorityResource(environment, radiologists)
    waited_minutes = np.zeros(arrival_minutes.size)

    def study(number: int, reading: float, priority: int) -> Generator[simpy.Event, Any, None]:
        arrived = environment.now
        first_priority = UNSCORED if scoring_minutes else priority
        request = readers.request(priority=first_priority)
        if priority != first_priority and not request.triggered:
            yield request | environment.timeout(scoring_minutes)
            if not request.triggered:
                request.cancel()
                request = readers.request(priority=priority)
        yield request
        waited_minutes[number] = environment.now - arrived
        yield environment.timeout(reading)
        readers.release(request)

    def arrivals() -> Generator[simpy.Event, Any, None]:
        studies = zip(arrival_minutes.tolist(), reading_minutes.tolist(), priorities.tolist(), strict=True)
        for number, (arrival, reading, priority) in enumerate(studies):
            yield environment.timeout(arrival - environment.now)
            environment.process(study(number, reading, priority))

    environment.process(arrivals())
    environment.run()
    return waited_minutes
