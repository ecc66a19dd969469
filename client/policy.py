"""What a hospital allows of what a coordinator may ask: the `policy` of site.yaml, and its enforcement.

The coordinator's messages cannot change it. What is beyond it is refused with a code of `POLICY_REFUSALS`, and the run
goes on without the site.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time
from typing import Final

from bloodnet_model.errors import Withheld
from bloodnet_model.schedule import Schedule, steps_per_epoch
from bloodnet_model.segmentation_sums import SegmentationSums
from client.approval import Grants
from client.site_settings import Metric, Policy
from strategies.evaluation_records import SiteEvaluation
from strategies.records import Training

NOT_LOGGED, NOT_APPROVED = "not-logged", "not-approved"

POLICY_REFUSALS: Final[Mapping[str, str]] = {
    NOT_APPROVED: "the run's code is not what is installed at the site, and nobody there has approved it",
    "not-allowed": "`ask_before_run` is set, and nobody has typed `bloodnet-client allow` for this run",
    "quiet-hours": "a training would start in the site's `quiet_hours`",
    "too-many-epochs": "more epochs in one round than `maximum_local_epochs`",
    "too-many-steps": "more optimiser steps in one round than `maximum_local_steps`",
    "hours-used-up": "the site has trained `maximum_hours_a_day` within the last 24 hours",
    "control-beyond-clip": "`clip_norm` is set, and SCAFFOLD asks for a second vector, which is not clipped",
    "metric-withheld": "the figures that were asked for are not among the site's `metrics`",
    NOT_LOGGED: "the answer could not be written into the site's egress log, so it was not given",
}


def require_allowed(policy: Policy, run: str, allowed: Grants) -> None:
    """Raises Withheld where this site has to be asked for each run and `run` is not among the `allowed` ones."""
    _require(not policy.ask_before_run or run in allowed.names(), "not-allowed")


def require_training(policy: Policy, asked: Training, studies: int, now: datetime, trained_s: float) -> None:
    """Raises Withheld where a training is beyond `policy`.

    studies:   that the site would train on
    now:       by the clock on this site's wall
    trained_s: how long it has trained within the last 24 hours
    """
    plan = asked.plan
    schedule = Schedule(plan.round, plan.total_rounds, plan.local_epochs, plan.local_steps)
    steps = schedule.steps(steps_per_epoch(studies, plan.model.training.studies_per_step))
    _require(not any(_within(hours, now.time()) for hours in policy.quiet_hours), "quiet-hours")
    _require(_at_most(plan.local_epochs, policy.maximum_local_epochs), "too-many-epochs")
    _require(_at_most(steps, policy.maximum_local_steps), "too-many-steps")
    hours = policy.maximum_hours_a_day
    _require(hours is None or trained_s < hours * 3600, "hours-used-up")
    _require(policy.clip_norm is None or asked.control is None, "control-beyond-clip")


def require_metrics(policy: Policy, split: str, *more: Metric) -> None:
    """Raises Withheld where figures of `split`, or any kind of `more`, may not leave."""
    kind: Metric = "test" if split.startswith("test") else "validation"
    _require({kind, *more} <= set(policy.metrics), "metric-withheld")


def shown(policy: Policy, found: SiteEvaluation) -> SiteEvaluation:
    """`found` without the kinds of figures that may not leave."""
    if "groups" not in policy.metrics:
        found = replace(found, groups={})
    if "masks" not in policy.metrics:
        found = replace(found, segmentation=SegmentationSums())
    return found


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise Withheld(reason)


def _at_most(asked: int, most: int | None) -> bool:
    return most is None or asked <= most


def _within(hours: str, now: time) -> bool:
    """Whether a time of day lies in hours such as 22:00-06:00, their end not included."""
    begin, end = (time.fromisoformat(clock) for clock in hours.split("-"))
    return begin <= now < end if begin < end else now >= begin or now < end
