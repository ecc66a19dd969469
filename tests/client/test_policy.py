"""A site's policy: what it refuses, by which code, and that the rest goes on."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodnet_model.errors import SettingsError, Withheld
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.segmentation_sums import SegmentationSums
from bloodnet_model.settings import ModelSettings, validated
from client.approval import Grants, allowed_runs
from client.audit import audit
from client.policy import require_allowed, require_metrics, require_training, shown
from client.site_settings import Policy, read_site
from server.run_folder import read_metrics
from server.settings import run_settings
from simulation.engines.registry import run_with
from strategies.evaluation_records import SiteEvaluation
from strategies.records import RoundPlan, Training
from tests.conftest import DrawHospitals

NOON = datetime(2026, 11, 25, 12, 0)
WEIGHTS = np.zeros(3, np.float32)


def policy(**entries: Any) -> Policy:
    return validated(Policy, entries)


def asked(small: ModelSettings, epochs: int = 2, steps: int = 0, **other: Any) -> Training:
    plan = RoundPlan(run="r", seed=0, round=1, total_rounds=3, local_epochs=epochs, local_steps=steps, model=small)
    return Training(WEIGHTS, plan, **other)


def refusal(limits: Policy, training: Training, studies: int = 10, at: datetime = NOON, trained_s: float = 0) -> str:
    try:
        require_training(limits, training, studies, at, trained_s)
    except Withheld as withheld:
        return withheld.reason
    return ""


def test_without_a_policy_everything_is_allowed(small: ModelSettings) -> None:
    training = asked(small, 1000, control=WEIGHTS)
    assert refusal(Policy(), training, trained_s=10**6) == ""
    require_metrics(Policy(), "test-enriched", "comparisons")


def test_epochs_beyond_the_most(small: ModelSettings) -> None:
    limits = policy(maximum_local_epochs=2)
    assert refusal(limits, asked(small, 2)) == ""
    assert refusal(limits, asked(small, 3)) == "too-many-epochs"


def test_steps_are_counted_before_they_are_made(small: ModelSettings) -> None:
    """10 studies, 2 a step: 5 steps an epoch."""
    limits = policy(maximum_local_steps=10)
    assert small.training.studies_per_step == 2
    assert refusal(limits, asked(small, 2)) == ""
    assert refusal(limits, asked(small, 3)) == "too-many-steps"
    assert refusal(limits, asked(small, 3, steps=10)) == ""
    assert refusal(limits, asked(small, 3, steps=11)) == "too-many-steps"


@pytest.mark.parametrize(
    ("hours", "quiet", "awake"),
    [
        ("07:00-18:30", ("07:00", "12:00", "18:29"), ("06:59", "18:30", "23:00")),
        ("22:00-06:00", ("22:00", "23:59", "00:00", "05:59"), ("06:00", "12:00", "21:59")),
        ("00:00-00:00", ("00:00", "12:00"), ()),
    ],
)
def test_no_training_starts_in_quiet_hours(
    small: ModelSettings, hours: str, quiet: tuple[str, ...], awake: tuple[str, ...]
) -> None:
    limits = policy(quiet_hours=["03:00-03:01", hours])
    for clock in (*quiet, *awake):
        hour, minute = map(int, clock.split(":"))
        at = NOON.replace(hour=hour, minute=minute)
        assert refusal(limits, asked(small), at=at) == ("quiet-hours" if clock in quiet else "")


def test_hours_of_a_day(small: ModelSettings) -> None:
    limits = policy(maximum_hours_a_day=1.5)
    assert refusal(limits, asked(small), trained_s=timedelta(hours=1.49).total_seconds()) == ""
    assert refusal(limits, asked(small), trained_s=timedelta(hours=1.5).total_seconds()) == "hours-used-up"


def test_a_second_vector_is_not_let_past_the_clip_norm(small: ModelSettings) -> None:
    limits = policy(clip_norm=1.0)
    assert refusal(limits, asked(small)) == ""
    assert refusal(limits, asked(small, control=WEIGHTS)) == "control-beyond-clip"


@pytest.mark.parametrize(
    ("split", "needs"),
    [("validation", "validation"), ("train", "validation"), ("test", "test"), ("test-random", "test")],
)
def test_figures_leave_only_if_they_are_named(split: str, needs: str) -> None:
    require_metrics(policy(metrics=[needs]), split)
    others = [name for name in ("validation", "test", "groups", "masks", "comparisons") if name != needs]
    with pytest.raises(Withheld, match="metric-withheld"):
        require_metrics(policy(metrics=others), split)
    with pytest.raises(Withheld, match="metric-withheld"):
        require_metrics(policy(metrics=[needs]), split, "comparisons")


def test_groups_and_masks_are_taken_out() -> None:
    histogram = ScoreHistogram.from_scores(np.array([0.1, 0.9]), np.array([0, 1]))
    found = SiteEvaluation(1, "test", {"any": histogram}, {"s": histogram}, SegmentationSums(called=1, not_called=1))
    assert shown(Policy(), found) == found
    bare = shown(policy(metrics=["test"]), found)
    assert (bare.groups, bare.segmentation) == ({}, SegmentationSums())
    assert bare.histograms == found.histograms
    assert shown(policy(metrics=["test", "masks"]), found).segmentation == found.segmentation
    assert shown(policy(metrics=["test", "groups"]), found).groups == found.groups


def test_a_run_is_answered_once_it_was_allowed(tmp_path: Path) -> None:
    runs, limits = allowed_runs(tmp_path), policy(ask_before_run=True)
    with pytest.raises(Withheld, match="not-allowed"):
        require_allowed(limits, "run-1", runs)
    require_allowed(Policy(), "run-1", runs)
    runs.grant("run-1")
    require_allowed(limits, "run-1", Grants(runs.path))
    for other in ("run-2", "run-1 ", "Run-1", ""):
        with pytest.raises(Withheld):
            require_allowed(limits, other, runs)
    runs.take_back("run-1")
    with pytest.raises(Withheld, match="not-allowed"):
        require_allowed(limits, "run-1", runs)


@pytest.mark.parametrize(
    "entry",
    [
        "coordinator: fl.example.org",
        "coordinator: https://fl.example.org:443",
        "quiet_hours: ['7:00-18:00']",
        "quiet_hours: ['07:00-24:00']",
        "metrics: [auc]",
        "clip_norm: 0",
        "maximum_hours_a_day: 25",
        "maximum_local_epoch: 3",
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entry: str) -> None:
    (tmp_path / "site.yaml").write_text(f"name: a\ndicom: [d]\npolicy: {{{entry}}}\n")
    with pytest.raises(SettingsError, match=rf"site\.yaml\.policy\.{entry.split(':')[0]}"):
        read_site(tmp_path)


@pytest.mark.parametrize("address", ["fl.example.org:443", "10.0.0.1:8000", "[2001:db8::1]:443"])
def test_addresses(address: str) -> None:
    assert policy(coordinator=address).coordinator == address


@pytest.mark.slow
def test_a_run_goes_on_without_a_site_that_refuses_and_does_not_hold_it_against_it(
    draw_hospitals: DrawHospitals, tmp_path: Path
) -> None:
    """One hospital trains in no round, one clips its updates; figures come from both."""
    sites = draw_hospitals(tmp_path / "hospitals", 2)
    for site, limits in zip(sites, ("quiet_hours: ['00:00-00:00']", "clip_norm: 0.05"), strict=True):
        with (site / "site.yaml").open("a") as file:
            file.write(f"policy: {{{limits}}}\n")
    run_with("local", run_settings({"rounds": 4, "local_epochs": 1, "seed": 4}), sites, tmp_path / "run", 2)
    rounds = read_metrics(tmp_path / "run")["rounds"]
    assert [line["sites"]["hospital-1"]["reason"] for line in rounds] == ["quiet-hours"] * 4
    assert [line["sites"]["hospital-2"]["status"] for line in rounds] == ["ok"] * 4
    quiet, clipping = (audit(read_site(site).kept) for site in sites)
    assert [line.code for line in quiet.lines if line.kind == "train"] == ["quiet-hours"] * 4
    assert {line.code for line in quiet.lines if line.kind != "train"} == {"ok"}
    updates = [line for line in clipping.lines if line.kind == "train"]
    assert [line.round for line in updates] == [1, 2, 3, 4]
    assert all(line.norm == pytest.approx(0.05, rel=1e-3) and line.clipped for line in updates)
    assert (quiet.fault, clipping.fault) == ("", "")
