"""What reading in another order changes, in minutes: the same studies under each policy, many times over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bloodnet_model.errors import SettingsError
from bloodnet_model.seeds import derive_seed
from simulation.triage_benefit.classifier import Classifier
from simulation.triage_benefit.settings import BenefitSettings
from simulation.triage_benefit.worklist import UNSCORED, Caseload, draw_caseload, minutes_to_reading

FIRST_COME, FLAGGED, BY_SCORE = "first-come-first-served", "flagged-first", "by-score"
ICH, MISSED, NO_ICH, ALL = "ich-positive", "ich-missed", "ich-negative", "all"
GROUPS: Final = (ICH, MISSED, NO_ICH, ALL)
"""`missed`: with hemorrhage but not flagged; the same studies whatever the policy."""

WITHIN_MINUTES: Final = (10, 30, 60)
MEASURES: Final = ("mean", "median", "p95", *(f"within_{minutes}" for minutes in WITHIN_MINUTES))
"""Of the minutes to reading; `within` is the share read by then."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; None where it does not exist, such as the wait of missed studies if none is."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Outcome:
    """One group of studies under one policy: each measure, and its paired difference to first come, first served."""

    measures: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]


@dataclass(frozen=True, eq=False)
class Benefit:
    """All that was simulated.

    outcomes:    by policy and group
    ich_minutes: by policy, ascending: to reading of every counted study with hemorrhage
    studies:     how many were counted, of all replications
    """

    settings: BenefitSettings
    classifier: Classifier
    outcomes: Mapping[str, Mapping[str, Outcome]]
    ich_minutes: Mapping[str, NDArray[np.float64]]
    studies: int

    @property
    def best(self) -> str:
        """The policy that uses most of what the classifier says."""
        return list(self.outcomes)[-1]


def policies_of(classifier: Classifier) -> list[str]:
    return [FIRST_COME, FLAGGED, *([BY_SCORE] if classifier.graded else [])]


def priorities(policy: str, score_bins: NDArray[np.int64], flag_bin: int) -> NDArray[np.int64]:
    """Priority (studies,) under `policy`; the smaller, the sooner."""
    if policy == FIRST_COME:
        return np.full_like(score_bins, UNSCORED)
    urgency = score_bins >= flag_bin if policy == FLAGGED else score_bins + 1
    return UNSCORED - urgency.astype(np.int64)


def simulate_benefit(
    settings: BenefitSettings, classifier: Classifier, on_replication: Callable[[int], None] = lambda _done: None
) -> Benefit:
    """Every policy on the same studies, `settings.replications` times; equal seeds give equal figures.

    Raises SettingsError where so little is simulated that hardly a study has hemorrhage.
    """
    runs = []
    for number in range(settings.replications):
        runs.append(_replicate(settings, classifier, number))
        on_replication(number + 1)
    if sum(run.ich_minutes[FIRST_COME].size > 0 for run in runs) < 2:
        raise SettingsError(f"days: hardly a study with hemorrhage comes in {settings.days:g} days; give more.")
    policies = policies_of(classifier)
    first_come = np.stack([run.figures[FIRST_COME] for run in runs])
    return Benefit(
        settings,
        classifier,
        {policy: _outcomes(np.stack([run.figures[policy] for run in runs]), first_come) for policy in policies},
        {policy: np.sort(np.concatenate([run.ich_minutes[policy] for run in runs])) for policy in policies},
        sum(run.studies for run in runs),
    )


@dataclass(frozen=True, eq=False)
class _Replication:
    """figures: by policy (1 or 2, groups, measures); the second with a resampled test set in place of the measured."""

    figures: Mapping[str, NDArray[np.float64]]
    ich_minutes: Mapping[str, NDArray[np.float64]]
    studies: int


def _replicate(settings: BenefitSettings, classifier: Classifier, number: int) -> _Replication:
    rng = np.random.default_rng(derive_seed(settings.seed, "triage-benefit", number))
    caseload = draw_caseload(settings, rng)
    resampled = classifier.resampled(rng)
    measured = _waits(settings, classifier, caseload)
    figures = {policy: [_figures(waits, caseload, classifier)] for policy, waits in measured.items()}
    if resampled is not None:
        for policy, waits in _waits(settings, resampled, caseload, measured[FIRST_COME]).items():
            figures[policy].append(_figures(waits, caseload, resampled))
    shown = caseload.counted & caseload.positive
    return _Replication(
        {policy: np.stack(each) for policy, each in figures.items()},
        {policy: waits[shown] for policy, waits in measured.items()},
        int(caseload.counted.sum()),
    )


def _waits(
    settings: BenefitSettings,
    classifier: Classifier,
    caseload: Caseload,
    first_come: NDArray[np.float64] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Minutes to reading (studies,) by policy; those of first come, first served need no second simulation."""
    score_bins = classifier.draw_bins(caseload.positive, caseload.quantile)
    known = {} if first_come is None else {FIRST_COME: first_come}
    return known | {
        policy: minutes_to_reading(
            caseload.arrival_minutes,
            caseload.reading_minutes,
            priorities(policy, score_bins, classifier.flag_bin),
            settings.radiologists,
            settings.scoring_seconds / 60,
        )
        for policy in policies_of(classifier)
        if policy not in known
    }


def _figures(waits: NDArray[np.float64], caseload: Caseload, classifier: Classifier) -> NDArray[np.float64]:
    """(groups, measures) of the counted studies; NaN for a group without any."""
    missed = classifier.draw_bins(caseload.positive, caseload.quantile) < classifier.flag_bin
    members = {
        ICH: caseload.positive,
        MISSED: caseload.positive & missed,
        NO_ICH: ~caseload.positive,
        ALL: np.ones_like(missed),
    }
    return np.array([_measures(waits[caseload.counted & members[group]]) for group in GROUPS])


def _measures(waits: NDArray[np.float64]) -> list[float]:
    if not waits.size:
        return [np.nan] * len(MEASURES)
    median, p95 = np.percentile(waits, (50, 95))
    return [waits.mean(), median, p95, *((waits <= minutes).mean() for minutes in WITHIN_MINUTES)]


def _outcomes(figures: NDArray[np.float64], first_come: NDArray[np.float64]) -> dict[str, Outcome]:
    """Of (replications, 1 or 2, groups, measures)."""
    return {
        group: Outcome(_estimates(figures[:, :, g], group), _estimates((figures - first_come)[:, :, g], group))
        for g, group in enumerate(GROUPS)
    }


def _estimates(figures: NDArray[np.float64], group: str) -> dict[str, Estimate]:
    """Of (replications, 1 or 2, measures)."""
    # Another test set misses other studies, so for these it shares no days with the measured one.
    shared = figures[:, :1] if group == MISSED else figures
    return {name: _estimate(shared[:, :, m]) for m, name in enumerate(MEASURES)}


def _estimate(figures: NDArray[np.float64]) -> Estimate:
    """Mean over replications (replications, 1 or 2) and an interval for two errors: too few days, too few test studies.

    The first is Student's, over replications. The second is the spread that a resampled test set adds on the same
    days; were it left out, more replications would make a small test set look like a large one.
    """
    known = figures[~np.isnan(figures).any(axis=1)]
    if len(known) < 2:
        return Estimate(None, None, None)
    value, count = float(known[:, 0].mean()), len(known)
    reach = stdtrit(count - 1, 0.975) * known[:, 0].std(ddof=1) / np.sqrt(count)  # Student's quantile
    spread = NormalDist().inv_cdf(0.975) * (known[:, -1] - known[:, 0]).std(ddof=1)
    half = float(np.hypot(reach, spread))
    return Estimate(value, value - half, value + half)
