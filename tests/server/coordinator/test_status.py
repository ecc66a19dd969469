"""What is going on, from what lies on the coordinator's disk."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from bloodnet_model.chained_log import ChainedLog
from bloodnet_model.run_metrics import METRICS
from server.certificates import issue_server_certificate
from server.cli import app
from server.coordinator.home import CONFIG, LOOPBACK, LOOPBACK_NAME, Home
from server.coordinator.init import RENEWED_DAYS, initialise
from server.coordinator.refusals import Refusals
from server.coordinator.site_list import ListedSite
from server.coordinator.status import RunState, SiteState, Status, run_state, status_of
from server.coordinator.status_table import status_view
from server.run_folder import CONFIG as RUN_CONFIG
from server.run_folder import ROUNDS
from simulation.engines.loopback import free_ports

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOBODY = Refusals({}, 0, "", "")
SITES = ("a", "b", "c", "d", "e", "f", "g")


def listed(site: str, connected: bool = True) -> ListedSite:
    return ListedSite(site, "0.1.0", "SHA256:x", "", "", connected, "2026-01-31T11:58:00+00:00", (), {})


def written(folder: Path) -> Path:
    """A run after two of its four rounds, at noon; `a` has answered in the third."""
    (folder / "journal").mkdir(parents=True)
    (folder / RUN_CONFIG).write_text(yaml.safe_dump({"rounds": 4, "sites": list(SITES)}))
    entries: dict[str, dict[str, str]] = {site: {"status": "ok"} for site in "abg"}
    entries |= {"c": {"status": "refused", "reason": "no-answer"}, "d": {"status": "refused", "reason": "too-large"}}
    entries |= {"e": {"status": "set-aside"}}
    lines = [json.dumps({"round": number, "sites": entries}) for number in (1, 2)]
    (folder / ROUNDS).write_text("".join(f"{line}\n" for line in lines))
    metrics = {"forecast": {"ends_at": "2026-01-31T14:32:00+00:00"}, "not_admitted": {"f": "low-coverage"}}
    (folder / METRICS).write_text(json.dumps(metrics))
    log = ChainedLog.begin(folder / "journal" / "log.jsonl")
    for event in (
        {"event": "run", "run": "3f9c2a4188d0"},
        {"event": "update", "site": "b"},
        {"event": "round"},
        {"event": "update", "site": "a"},
    ):
        log.append(event)
    os.utime(folder / ROUNDS, (BEGAN.timestamp(), BEGAN.timestamp()))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> RunState:
    return run_state(7, written(tmp_path / "first"), {site: listed(site, site != "g") for site in SITES})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = initialise(tmp_path / "fl", ["fl.example.org"], None).home
    settings = made.settings.model_copy(update={"superlink_port": free_ports(1)[0]})
    (made.folder / CONFIG).write_text(settings.model_dump_json())
    return Home(made.folder, settings)


def test_what_each_site_does(run: RunState) -> None:
    assert {site.site: (site.state, site.reason) for site in run.sites} == {
        "a": ("answered", ""),
        "b": ("working", ""),
        "c": ("late", "no-answer"),
        "d": ("refused", "too-large"),
        "e": ("set aside", "until-readmitted"),
        "f": ("not in the run", "low-coverage"),
        "g": ("away", ""),
    }
    assert (run.round, run.rounds, run.ends_at) == (2, 4, "2026-01-31T14:32:00+00:00")
    since = {site.site: datetime.fromisoformat(site.since) for site in run.sites}
    assert since["b"] == BEGAN
    assert since["g"] == BEGAN - timedelta(minutes=2)


def test_a_run_that_has_written_nothing_yet(tmp_path: Path) -> None:
    state = run_state(1, tmp_path / "new", {"a": listed("a")})
    assert (state.round, state.rounds, state.ends_at, state.sites) == (0, 0, None, ())


FIRST = {"event": "weights", "round": 0}
RUN = {"event": "run", "run": "3f9c2a4188d0"}
CALLED = {"event": "called", "sites": ["a"]}
OVER = {"event": "round", "round": 1}


@pytest.mark.parametrize(
    ("events", "calls"),
    [
        ((RUN, FIRST), True),
        ((RUN, FIRST, CALLED), False),
        ((RUN, FIRST, CALLED, OVER, {"event": "reopened"}), True),
        ((RUN, FIRST, CALLED, OVER, {"event": "reopened"}, {"event": "rewound", "round": 1, "run": "x"}), True),
        ((RUN, FIRST, CALLED, OVER, {"event": "reopened"}, CALLED), False),
    ],
)
def test_during_a_roll_call_nobody_works(tmp_path: Path, events: tuple[dict[str, Any], ...], calls: bool) -> None:
    run_log, settings = tmp_path / "new" / "journal" / "log.jsonl", {"rounds": 4, "sites": ["a", "b"], "wait_s": 600}
    run_log.parent.mkdir(parents=True)
    (tmp_path / "new" / RUN_CONFIG).write_text(yaml.safe_dump(settings))
    log = ChainedLog.begin(run_log)
    for event in events:
        log.append(event)
    os.utime(run_log, (BEGAN.timestamp(), BEGAN.timestamp()))
    state = run_state(7, tmp_path / "new", {"a": listed("a"), "b": listed("b", connected=False)})
    assert [site.state for site in state.sites] == ["connected" if calls else "working", "away"]
    shown = text(Status(True, (state,), (), 300, (), NOBODY), BEGAN)
    assert ("roll call, waits for those away until" in shown) is calls
    assert ("0 of 4 rounds" in shown) is not calls
    if calls:
        assert datetime.fromisoformat(str(state.call_until)) == BEGAN + timedelta(minutes=10)


def text(status: Status, now: datetime, columns: int = 120) -> str:
    console = Console(width=columns, no_color=True)
    with console.capture() as shown:
        console.print(status_view(status, now))
    return shown.get()


def test_the_table_says_for_how_long(run: RunState) -> None:
    now = BEGAN + timedelta(seconds=130)
    shown = text(Status(True, (run,), (), 300, (), NOBODY), now)
    assert "run first: 2 of 4 rounds, ends about 14:32" in shown
    rows: dict[str, Any] = {line.split("│")[1].strip(): line for line in shown.splitlines() if line.count("│") > 3}
    assert "2 min" in rows["b"]
    assert "4 min" in rows["g"]
    assert "too large" in rows["d"]
    assert "no answer from the site" in rows["c"]
    assert "to hospitals run 3f9c2a4188d0" in shown
    assert "No site is admitted" in text(Status(True, (), (), 300, (), NOBODY), now)


REASONS = {
    "charite-berlin": ("working", ""),
    "klinikum-augsburg": ("late", "no-answer"),
    "universitaetsspital": ("refused", "control-unlike-others"),
    "oslo-universitetssyk": ("refused", "control-beyond-clip"),
    "st-olavs-trondheim": ("set aside", "until-readmitted"),
    "hospital-la-fe-vlc": ("not in the run", "low-coverage"),
    "universitaetsklinikum-hamburg-eppendorf-neuroradiologie": ("not in the run", "not-allowed"),
}


def cells(shown: str) -> list[list[list[str]]]:
    """Of each row its cells, line by line; a row begins where a state stands."""
    rows: list[list[list[str]]] = []
    for line in shown.splitlines():
        if line.startswith("│"):
            found = [cell.strip() for cell in line.strip("│").split("│")]
            if found[2]:
                rows.append([[] for _ in found])
            for cell, words in zip(rows[-1], found, strict=True):
                cell.append(words)
    return rows


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_of_the_table_is_cut_off(columns: int) -> None:
    long_ago = (BEGAN - timedelta(hours=47, minutes=59)).isoformat()
    sites = tuple(SiteState(site, "0.1.0", state, long_ago, reason) for site, (state, reason) in REASONS.items())
    run = RunState(7, "/runs/hemorrhage-fedavg-2026", "3f9c2a4188d0", 12, 50, "2026-02-01T02:32:00+00:00", None, sites)
    others = (SiteState("policlinico-gemelli", "0.1.0", "connected", long_ago),)
    shown = text(Status(True, (run,), others, 300, (), NOBODY), BEGAN, columns)
    assert all(len(line) <= columns for line in shown.splitlines())
    rows = cells(shown)
    names = [*[name for name in REASONS if name != "charite-berlin"], "charite-berlin", "policlinico-gemelli"]
    assert ["".join(row[0]) for row in rows] == names
    assert [row[0][0] for row in rows] == [name[:20] for name in names]  # of up to twenty letters, in one line
    assert [row[2][0] for row in rows] == [*(REASONS[name][0] for name in names[:-1]), "connected"]
    assert all((row[1][0], row[3][0]) == ("0.1.0", "47 h 59 min") for row in rows)
    assert [" ".join(row[4]).strip() for row in rows] == [
        "no answer from the site before the deadline",
        "control unlike others",
        "outside the site's policy: a second vector, which is not clipped",
        "until readmitted",
        "too few of the site's labelled studies can be used",
        "the site asks before a run, and nobody there has allowed this one",
        "",
        "",
    ]


@pytest.mark.parametrize(("days", "warned"), [(RENEWED_DAYS, True), (RENEWED_DAYS + 2, False)])
def test_certificates_are_spoken_of_sixty_days_ahead(home: Home, days: int, warned: bool) -> None:
    issue_server_certificate(home.keys, ["fl.example.org", LOOPBACK, LOOPBACK_NAME], days)
    status = status_of(home, datetime.now(UTC))
    assert any("The server's certificate expires in" in warning for warning in status.warnings) is warned
    assert any("bloodnet-server up" in warning for warning in status.warnings)
    assert not status.is_up


def test_the_authority_is_spoken_of_earlier(home: Home) -> None:
    assert not any("The authority expires" in warning for warning in status_of(home, datetime.now(UTC)).warnings)
    late = datetime.now(UTC) + timedelta(days=3650 - 170)
    assert any("The authority expires in 1" in warning for warning in status_of(home, late).warnings)


def test_status_as_json_and_once(home: Home) -> None:
    found = CliRunner().invoke(app, ["status", str(home.folder), "--json"], catch_exceptions=False)
    told = json.loads(found.stdout)
    assert (told["is_up"], told["runs"], told["others"]) == (False, [], [])
    found = CliRunner().invoke(app, ["status", str(home.folder), "--once"], catch_exceptions=False)
    assert "The SuperLink does not run" in found.stdout
