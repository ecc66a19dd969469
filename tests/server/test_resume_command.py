"""`bloodnet-server resume`: a real SuperLink whose ServerApp was killed, a SuperNode that was, what cannot go on."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from flwr.common.constant import Status, SubStatus

from bloodnet_model.errors import DataError, RoundError, SettingsError
from server.app import OUT, RESUME
from server.certificates import AUTHORITY
from server.journal import Journal
from server.launch import SuperLink, connection_named, superlink
from server.resume import resumable
from server.run_folder import MODEL, create_run_folder, write_metrics
from server.settings import RunSettings, run_settings, to_run_config
from simulation.engines.loopback import HOST, free_ports, run_supernode, start_superlink, start_supernode
from simulation.engines.programs import Programs, programs
from simulation.engines.registry import run_with
from tests.conftest import DrawHospitals
from tests.processes import wait_until

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-c", "from server.cli import main; main()", "resume"]
SETTINGS = run_settings({"rounds": 2, "local_epochs": 1, "seed": 4, "strategy": "fedadam", "minimum_sites": 2})


@dataclass
class Federation:
    """A SuperLink with two hospitals, and what it takes to start it again."""

    folder: Path
    port: int
    started: Programs
    link: SuperLink
    sites: dict[str, tuple[Path, tuple[int, int]]]

    @property
    def folders(self) -> list[Path]:
        return [folder for folder, _ in self.sites.values()]

    def start_superlink(self) -> None:
        start_superlink(self.folder / "keys", self.port, self.started, "--database", str(self.folder / "state.db"))

    def of(self, site: str, command: str) -> list[psutil.Process]:
        """Of a site's processes, those that run a command of Flower's."""
        home = self.folder / f"supernode-{site}"
        return [one for one in processes(self.folder, command) if Path(one.environ()["FLWR_HOME"]) == home]

    def environment(self) -> dict[str, str]:
        """Of a person at the coordinator's terminal, whose Flower knows the SuperLink as `here`."""
        home = self.folder / "person"
        home.mkdir(exist_ok=True)
        address, certificate = json.dumps(f"{HOST}:{self.port}"), json.dumps(str(self.folder / "keys" / AUTHORITY))
        (home / "config.toml").write_text(f"[superlink.here]\naddress = {address}\nroot-certificates = {certificate}\n")
        return os.environ | {"FLWR_HOME": str(home)}


@pytest.fixture
def federation(draw_hospitals: DrawHospitals, tmp_path: Path) -> Iterator[Federation]:
    sites = draw_hospitals(tmp_path / "hospitals", 2)
    port, *ports = free_ports(3)
    folder = tmp_path / "flower"
    folder.mkdir()
    with programs(folder) as started:
        connection = start_superlink(folder / "keys", port, started, "--database", str(folder / "state.db"))
        with superlink(connection) as link:
            wait_until(lambda: answers(link))
            places = [(site, (port, own)) for site, own in zip(sites, ports, strict=True)]
            named = {start_supernode(link, of[0], folder / "keys", of[1], started): of for of in places}
            wait_until(lambda: link.online() == set(named))
            yield Federation(folder, port, started, link, named)


@pytest.mark.slow
def test_a_killed_serverapp_and_then_a_killed_superlink(federation: Federation, tmp_path: Path) -> None:
    """An update is accepted when the ServerApp dies, round 1 is over when the SuperLink does."""
    run_with("local", SETTINGS, federation.folders, tmp_path / "whole", 2)
    out = tmp_path / "run"
    federation.link.start({**to_run_config(SETTINGS), OUT: str(out), RESUME: False})
    wait_until(lambda: "update" in events(out))
    kill(federation.folder, "flwr-serverapp")

    command = [*COMMAND, str(out), "--federation", "here"]
    watching = subprocess.Popen(command, cwd=ROOT, env=federation.environment(), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: "round" in events(out))
    kill(federation.folder, "flower-superlink")
    wait_until(lambda: ended(federation.started) == "superlink: ended by itself with code -9")
    _, said = watching.communicate(timeout=60)
    assert watching.returncode == 1
    assert "no SuperLink answers" in said
    assert "it can be resumed" in said
    assert "Traceback" not in said
    wait_until(lambda: not processes(federation.folder, "flwr-serverapp"))

    federation.start_superlink()
    wait_until(lambda: answers(federation.link))
    done = subprocess.run(command, cwd=ROOT, env=federation.environment(), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "round 2/2  2 of 2 sites" in done.stderr
    assert (out / MODEL).read_bytes() == (tmp_path / "whole" / MODEL).read_bytes()
    asked = Counter((event["round"], event["site"]) for event in log(out) if event["event"] == "update")
    assert asked == {(number, site): 1 for number in (1, 2) for site in ("hospital-1", "hospital-2")}
    again = subprocess.run(command, cwd=ROOT, env=federation.environment(), capture_output=True, text=True)
    assert again.returncode == 2
    assert "is finished; its report is" in again.stderr


@pytest.mark.slow
def test_a_supernode_that_was_killed_at_work_is_asked_again(federation: Federation, tmp_path: Path) -> None:
    out, name = tmp_path / "run", "hospital-1"
    settings = SETTINGS.model_copy(update={"rounds": 1, "local_epochs": 20})  # long enough to be seen at work
    run_with("local", settings, federation.folders, tmp_path / "whole", 2)
    began = time.time()
    run = federation.link.start({**to_run_config(settings), OUT: str(out)})
    wait_until(lambda: "plan" in events(out))
    wait_until(lambda: any(one.create_time() > began for one in federation.of(name, "flwr-clientapp")))
    for process in federation.of(name, "flower-supernode"):
        process.kill()
    wait_until(lambda: name not in federation.link.online())  # only then is another let in
    folder, ports = federation.sites[name]
    run_supernode(name, folder, federation.folder / "keys", ports, federation.started)
    wait_until(lambda: federation.link.status(run).status == Status.FINISHED)
    assert federation.link.status(run).sub_status == SubStatus.COMPLETED
    assert (out / MODEL).read_bytes() == (tmp_path / "whole" / MODEL).read_bytes()
    assert len(log(out)) == len(log(tmp_path / "whole"))  # so each site's update came once


def begun(folder: Path, settings: RunSettings = SETTINGS) -> Path:
    """A run folder as a run leaves it that was stopped before anything was trained."""
    create_run_folder(folder, settings)
    Journal.begin(folder, "run", settings.model_dump(mode="json"), np.zeros(3, np.float32))
    return folder


def test_a_stopped_run_goes_on_with_its_own_settings(tmp_path: Path) -> None:
    assert resumable(begun(tmp_path / "run")) == SETTINGS


def test_what_cannot_go_on_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no config\.yaml"):
        resumable(tmp_path)
    create_run_folder(tmp_path / "old", SETTINGS)
    with pytest.raises(DataError, match="keeps no journal"):
        resumable(tmp_path / "old")
    simulated = SETTINGS.model_copy(update={"data": {"sources": {}, "name": "synthetic"}})
    with pytest.raises(DataError, match="bloodnet-simulate run --resume"):
        resumable(begun(tmp_path / "simulated", simulated))


def test_a_finished_run_goes_on_only_from_a_round(tmp_path: Path) -> None:
    run = begun(tmp_path / "run", SETTINGS)
    write_metrics(run, {"test": {"pooled": {}}, "comparisons": [], "cross_site": None, "rounds": []})
    assert resumable(run) == SETTINGS  # what comes after the last round may still be going on
    journal = Journal.read(run)
    journal.over(1, {})
    journal.finish()
    with pytest.raises(DataError, match=r"is finished; its report is .*report\.html"):
        resumable(run)
    assert resumable(run, from_round=1) == SETTINGS
    with pytest.raises(DataError, match="round 9 is not over; go on from one of 1 to 1"):
        resumable(run, from_round=9)


def test_an_unknown_or_silent_superlink_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_text(f'[superlink.away]\naddress = "{HOST}:{free_ports(1)[0]}"\ninsecure = true\n')
    with pytest.raises(SettingsError, match=r"--federation nowhere: is no SuperLink in .*config\.toml"):
        connection_named("nowhere")
    with pytest.raises(SettingsError, match="is not given, and Flower's default is no SuperLink"):
        connection_named(None)
    with superlink(connection_named("away")) as link, pytest.raises(RoundError, match="no SuperLink answers at"):
        link.online()


def log(out: Path) -> list[dict[str, object]]:
    try:
        return [json.loads(line) for line in (out / "journal" / "log.jsonl").read_text().splitlines()]
    except (OSError, ValueError):
        return []


def events(out: Path) -> set[object]:
    return {event["event"] for event in log(out)}


def processes(folder: Path, command: str) -> list[psutil.Process]:
    """Of this federation, those that run a command of Flower's, found by their home."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = folder in Path(process.environ().get("FLWR_HOME", "")).parents
            if mine and any(word.rpartition("/")[2] == command for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill(folder: Path, command: str) -> None:
    (process,) = processes(folder, command)
    process.kill()


def ended(started: Programs) -> str:
    """What is said of a program that is no more, without its log."""
    try:
        started.require_alive()
    except RoundError as error:
        return str(error).partition(" (")[0]
    return ""


def answers(link: SuperLink) -> bool:
    try:
        link.online()
    except RoundError:
        return False
    return True
