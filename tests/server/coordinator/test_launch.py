"""A run as a coordinator types it: what is refused before it begins, and all of it with real hospitals at the door."""

import json
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bloodnet_model.errors import RoundError, SettingsError
from client.admission import admission_file
from client.keys import make_node_key
from client.site_settings import SITE_FILE, read_site
from server.coordinator.admissions import admit, revoke
from server.coordinator.home import LOOPBACK, Home
from server.coordinator.init import initialise
from server.coordinator.launching import launched_settings, stop, waiting_sentence
from server.coordinator.status import status_of
from server.launch import Node
from simulation.engines.loopback import free_ports
from tests.conftest import DrawHospitals
from tests.processes import wait_until
from tests.server.coordinator.test_up import admit_site, folder_for, needs_nginx

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SERVER = [sys.executable, "-c", "from server.cli import main; main()"]
CLIENT = [sys.executable, "-c", "from client.cli import main; main()"]
_LONGEST_S = 500


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Of a coordinator that admits hospital-1 and hospital-2."""
    home = folder_for(tmp_path / "fl", [LOOPBACK])
    for name in ("hospital-1", "hospital-2"):
        admit_site(home, name)
    return home


def let_in(home: Home, hospitals: list[Path]) -> None:
    """Admit hospitals, and lay everything into their folders that it takes to connect."""
    for hospital in hospitals:
        with (hospital / SITE_FILE).open("a") as file:
            file.write(f"policy:\n  coordinator: {LOOPBACK}:{home.settings.port}\n")
        make_node_key(hospital / "node.key")
        shutil.copy(home.authority, hospital / "ca.crt")
        admit(home, admission_file(read_site(hospital)), NOW)


def test_the_settings_of_a_simulation_may_be_taken_for_hospitals_which_bring_their_own_data(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text("rounds: 3\ndata: {name: synthetic, sources: {synthetic: 4}}\n")
    settings = launched_settings(home, tmp_path / "run.yaml", (), ())
    assert (settings.rounds, settings.data) == (3, {})


def test_all_admitted_sites_take_part_unless_some_are_named(home: Home, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("rounds: 3\nmodel: {preset: tiny}\n")
    changes = ("rounds=4", "evaluation.alone=true", "strategy=fedprox")
    settings = launched_settings(home, tmp_path / "run.yaml", changes, ())
    assert (settings.rounds, settings.evaluation.alone, settings.strategy) == (4, True, "fedprox")
    assert settings.sites == ("hospital-1", "hospital-2")
    assert launched_settings(home, None, (), ("hospital-2",)).sites == ("hospital-2",)
    revoke(home, "hospital-1", NOW)
    assert launched_settings(home, None, (), ()).sites == ("hospital-2",)


@pytest.mark.parametrize(
    ("changes", "sites", "told"),
    [
        (["rounds"], [], "is no NAME=VALUE"),
        (["rounds=[1"], [], "is no NAME=VALUE"),
        (["round=3"], [], "did you mean rounds"),
        (["rounds=many"], [], "rounds: "),
        (["strategy=fedavgg"], [], "fedavgg"),
        ([], ["hospital-9"], "hospital-9 is not admitted; admitted are hospital-1, hospital-2"),
    ],
)
def test_mistakes_are_said_before_anything_begins(home: Home, changes: list[str], sites: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        launched_settings(home, None, changes, sites)


def test_without_sites_or_a_superlink_there_is_no_run(home: Home, tmp_path: Path) -> None:
    with pytest.raises(RoundError, match="no SuperLink answers"):
        stop(home, None)
    with pytest.raises(SettingsError, match="nobody is admitted"):
        launched_settings(initialise(tmp_path / "new", [LOOPBACK], None).home, None, (), ())


def test_who_is_missed_and_since_when() -> None:
    nodes = [Node(1, "a", "", True, "2026-01-31T11:00:00+00:00"), Node(2, "b", "", False, "")]
    nodes += [
        Node(3, "c", "", False, "2026-01-31T10:30:00+00:00"),
        Node(4, "d", "", False, "2026-01-30T10:30:00+00:00"),
    ]
    told = waiting_sentence(nodes, ["a", "b", "c", "d", "e"], NOW)
    assert told == (
        "not connected: b (never was), c (since 10:30), d (since 30 Jan 10:30), e (not registered; restart `up`)"
    )
    assert waiting_sentence(nodes, ["a"], NOW) == ""


@pytest.mark.slow
@needs_nginx
def test_a_run_from_launch_to_its_report(draw_hospitals: DrawHospitals, tmp_path: Path) -> None:
    """One hospital comes late, the run is stopped after a round and goes on."""
    home = folder_for(tmp_path / "fl", [LOOPBACK])
    first, second = hospitals = draw_hospitals(tmp_path / "hospitals", 2)
    let_in(home, hospitals)
    run, ports = home.runs / "first", free_ports(4)

    def started(block: ExitStack, *words: str | Path, stderr: int | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen([*map(str, words)], stderr=stderr, text=True)
        block.callback(lambda: process.stderr and process.stderr.close())
        block.callback(process.wait, 60)
        block.callback(process.send_signal, signal.SIGTERM)
        block.callback(process.send_signal, signal.SIGCONT)
        return process

    def status() -> dict[str, Any]:
        words = [*SERVER, "status", str(home.folder), "--json"]
        return dict(json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout))

    def states(told: dict[str, Any]) -> dict[str, str]:
        return {site["site"]: site["state"] for of in told["runs"] for site in of["sites"]}

    with ExitStack() as block:
        up = started(block, *SERVER, "up", home.folder, stderr=subprocess.PIPE)
        assert up.stderr is not None
        assert up.stderr.readline().startswith("up: hospitals reach")
        started(block, *CLIENT, "run", first, "--port", str(ports[0]), "--health", f"127.0.0.1:{ports[2]}")
        words = ("--set", "rounds=2", "--set", "local_epochs=1", "--set", "minimum_sites=2", "--out", run)
        launched = started(block, *SERVER, "launch", home.folder, *words, stderr=subprocess.PIPE)
        wait_until(lambda: states(status_of(home, datetime.now(UTC)).to_json()).get("hospital-2") == "away")
        node = started(block, *CLIENT, "run", second, "--port", str(ports[1]), "--health", f"127.0.0.1:{ports[3]}")
        wait_until((run / "rounds.jsonl").exists)
        node.send_signal(signal.SIGSTOP)  # so that round 2 goes on until the run is stopped
        assert set(states(status()).values()) <= {"working", "answered"}
        stopped = subprocess.run([*SERVER, "stop", home.folder], capture_output=True, text=True)
        node.send_signal(signal.SIGCONT)
        assert stopped.stdout.startswith("stopped; to go on:  bloodnet-server resume")
        said = launched.communicate(timeout=60)[1]
        assert launched.returncode == 1
        assert "hospital-2 (never was)" in said
        assert "all sites are connected" in said
        assert "round 1/2  2 of 2 sites" in said
        assert "was stopped. What it has done is in its journal" in said
        assert status()["runs"] == []
        done = subprocess.run([*SERVER, "resume", str(run)], capture_output=True, text=True, timeout=_LONGEST_S)
        assert done.returncode == 0, done.stderr
        assert "round 2/2  2 of 2 sites" in done.stderr
        assert (run / "report.html").exists()
        shown = subprocess.run([*SERVER, "status", home.folder, "--once"], capture_output=True, text=True).stdout
        assert "connected" in shown
        again = subprocess.run([*SERVER, "launch", home.folder, "--out", run], capture_output=True, text=True)
        assert (again.returncode, "holds a run already" in again.stderr) == (2, True)
