"""`bloodnet-client run`: what it takes to connect, and with real processes, what runs and what does not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from rich.console import Console

from bloodnet_model.errors import BloodNetError, RoundError
from client.audit import audit
from client.keys import make_node_key, public_key
from client.node import supernode_command, surroundings
from client.site_settings import Site, SiteSettings, read_site
from server.app import OUT
from server.certificates import AUTHORITY, make_authority
from server.launch import SuperLink, superlink, watch
from server.run_folder import MODEL, read_metrics
from server.settings import RunSettings, run_settings, to_run_config
from simulation.engines.loopback import HOST, free_ports, start_superlink, start_supernode
from simulation.engines.programs import programs
from strategies.bundle import bundle_digest, bundle_files
from tests.client.bundles import changed_bundle
from tests.conftest import DrawHospitals
from tests.processes import lives, wait_until

BIN = Path(sys.executable).parent
SETTINGS = run_settings({"rounds": 1, "local_epochs": 1, "seed": 4, "wait_s": 60.0})
EVIL = 'import os, pathlib; pathlib.Path(os.environ["FLWR_HOME"], "it-ran").write_text("written by the bundle")'


@pytest.fixture
def ready(tmp_path: Path) -> Site:
    """A site that has all that it takes to connect."""
    make_node_key(tmp_path / "node.key")
    make_authority(tmp_path, "test")  # writes ca.crt
    return site_of(tmp_path, coordinator="fl.example.org:443")


def site_of(folder: Path, **policy: str) -> Site:
    return Site(folder, SiteSettings.model_validate({"name": "a", "dicom": ["d"], "policy": policy}))


def test_a_ready_site_connects_to_the_coordinator_of_its_policy_alone(ready: Site) -> None:
    command = supernode_command(ready, 9094)
    assert command[:3] == ["flower-supernode", "--superlink", "fl.example.org:443"]
    assert command[command.index("--root-certificates") + 1] == str(ready.folder / "ca.crt")
    assert command[command.index("--auth-supernode-private-key") + 1] == str(ready.folder / "node.key")
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--node-config") + 1] == f'site-folder="{ready.folder}"'
    assert not {"--insecure", "--trusted-entities", "--allow-runtime-dependency-installation"} & set(command)


def test_what_is_missing_is_named(ready: Site) -> None:
    def said(site: Site = ready) -> str:
        with pytest.raises(BloodNetError) as caught:
            supernode_command(site, 9094)
        return str(caught.value)

    assert "write `coordinator: HOST:PORT`" in said(site_of(ready.folder))
    authority, key = ready.folder / "ca.crt", ready.folder / "node.key"
    pem = authority.read_bytes()
    authority.write_bytes(b"nothing")
    assert "is no certificate in PEM format" in said()
    authority.unlink()
    assert f"{authority}: cannot be read" in said()
    authority.write_bytes(pem)
    ready.kept.mkdir(parents=True)
    (ready.kept / "egress.jsonl").write_text("not a log\n")
    assert "egress.jsonl, line 1: was changed" in said()
    key.unlink()
    assert f"{key}: cannot be read" in said()


@pytest.mark.parametrize("before", ["", "intranet.example,10.0.0.0/8", "localhost"])
def test_loopback_needs_no_proxy_and_nothing_phones_home(ready: Site, before: str) -> None:
    now = {"HTTPS_PROXY": "http://proxy:3128", "HTTP_PROXY": "http://proxy:3128", "NO_PROXY": before, "X": "1"}
    there = surroundings(now, ready)
    assert {name: there[name] for name in ("HTTPS_PROXY", "HTTP_PROXY", "X")} == {
        name: now[name] for name in ("HTTPS_PROXY", "HTTP_PROXY", "X")
    }
    exempt = there["NO_PROXY"].split(",")
    assert set(exempt) == {"127.0.0.1", "localhost", "::1", *(before.split(",") if before else [])}
    assert len(exempt) == len(set(exempt))
    assert there["no_proxy"] == there["NO_PROXY"]
    assert there["FLWR_LOG_LEVEL"] == "WARNING"
    assert surroundings({"FLWR_LOG_LEVEL": "DEBUG"}, ready)["FLWR_LOG_LEVEL"] == "DEBUG"
    assert (there["FLWR_TELEMETRY_ENABLED"], there["FLWR_DISABLE_UPDATE_CHECK"]) == ("0", "1")
    assert Path(there["FLWR_HOME"]).is_relative_to(ready.cache)


@dataclass
class Federation:
    """A SuperLink; a hospital behind `bloodnet-client run`, and one behind Flower's own SuperNode, without a guard."""

    folder: Path
    link: SuperLink
    guarded: Path
    unguarded: Path
    node: subprocess.Popen[bytes]
    health: int

    @property
    def log(self) -> str:
        return (self.folder / "node.log").read_text(errors="replace")

    def run(self, out: Path, settings: RunSettings = SETTINGS) -> str:
        """Runs to its end; what is said of it if it fails."""
        number = self.link.start({**to_run_config(settings), OUT: str(out)})
        try:
            watch(self.link, number, out, settings.rounds, Console(stderr=True))
        except RoundError as error:
            return str(error)
        return ""


def start_node(folder: Path, site: Path, health: int, **environment: str) -> subprocess.Popen[bytes]:
    command = [str(BIN / "bloodnet-client"), "run", str(site), "--port", str(free_ports(1)[0])]
    surroundings = os.environ | {"FLWR_HOME": str(folder / "node-home"), "OMP_NUM_THREADS": "1", **environment}
    with (folder / "node.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--health", f"{HOST}:{health}"], env=surroundings, stdout=log, stderr=log, cwd=folder
        )


@pytest.fixture
def federation(draw_hospitals: DrawHospitals, tmp_path: Path) -> Iterator[Federation]:
    guarded, unguarded = draw_hospitals(tmp_path / "hospitals", 2)
    port, other, health = free_ports(3)
    folder = tmp_path / "flower"
    folder.mkdir()
    keys = folder / "keys"
    with programs(folder) as started, superlink(start_superlink(keys, port, started)) as link:
        wait_until(lambda: answers(link))
        start_supernode(link, unguarded, keys, (port, other), started)
        settings = yaml.safe_load((guarded / "site.yaml").read_text())
        settings |= {"authority": str(keys / AUTHORITY), "policy": {"coordinator": f"{HOST}:{port}"}}
        (guarded / "site.yaml").write_text(yaml.safe_dump(settings))
        make_node_key(guarded / "node.key")
        link.register(public_key(guarded / "node.key"), guarded.name)
        node = start_node(folder, guarded, health)
        try:
            wait_until(lambda: link.online() == {guarded.name, unguarded.name})
            yield Federation(folder, link, guarded, unguarded, node, health)
        finally:
            node.kill()
            node.wait()


@pytest.mark.slow
def test_what_runs_is_what_was_approved(
    federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unguarded hospital shows what the modified bundle does where nobody stops it."""
    kept, home = read_site(federation.guarded).kept, federation.folder / "node-home"
    evil = changed_bundle(EVIL)
    with monkeypatch.context() as patch:
        patch.setattr("server.launch.app_bundle", lambda: evil)
        assert federation.run(tmp_path / "evil") == ""
    assert (federation.folder / f"supernode-{federation.unguarded.name}" / "it-ran").exists()
    assert not list(tmp_path.rglob("node-home/**/it-ran"))
    assert not list(home.rglob("app.py"))  # nor was it unpacked
    (line,) = audit(kept).lines
    digest = bundle_digest(bundle_files(evil))
    assert (line.kind, line.code) == ("query.roll_call", "not-approved")
    assert f"bundle {digest} is not approved at {federation.guarded.name}" in federation.log
    assert "FAB verification failed" not in federation.log
    (round_line,) = read_metrics(tmp_path / "evil")["rounds"]
    assert set(round_line["sites"]) == {federation.unguarded.name}

    assert federation.run(tmp_path / "good") == ""
    assert (tmp_path / "good" / MODEL).exists()
    (round_line,) = read_metrics(tmp_path / "good")["rounds"]
    assert {site: told["status"] for site, told in round_line["sites"].items()} == {
        federation.guarded.name: "ok",
        federation.unguarded.name: "ok",
    }
    found = audit(kept)
    assert found.fault == ""
    kinds = [(each.kind, each.code) for each in found.lines[1:]]
    assert kinds[:2] == [("query.roll_call", "ok"), ("train", "ok")]
    assert not list(home.rglob("it-ran"))

    command = [str(BIN / "bloodnet-client"), "approve", digest, "--site", str(federation.guarded)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    with monkeypatch.context() as patch:
        patch.setattr("server.launch.app_bundle", lambda: evil)
        assert federation.run(tmp_path / "approved") == ""
    assert (home / "it-ran").exists()


@pytest.mark.slow
def test_a_node_is_healthy_and_stops_when_it_is_asked_to(federation: Federation) -> None:
    wait_until(lambda: how_it_is(federation.health)[0] == 0)
    assert how_it_is(federation.health) == (0, "the node works, and the coordinator answers it")
    family = psutil.Process(federation.node.pid).children(recursive=True)
    federation.node.send_signal(signal.SIGTERM)
    assert federation.node.wait(30) == 0
    wait_until(lambda: federation.link.online() == {federation.unguarded.name}, 10)
    wait_until(lambda: not any(map(lives, family)), 20)
    assert "Traceback" not in federation.log
    assert "SuperNode terminated gracefully." in federation.log
    assert how_it_is(federation.health) == (1, f"no node answers at {HOST}:{federation.health}")
    federation.node = start_node(federation.folder, federation.guarded, federation.health)
    wait_until(lambda: federation.guarded.name in federation.link.online())
    federation.node.send_signal(signal.SIGINT)
    assert federation.node.wait(30) == 0


def how_it_is(port: int) -> tuple[int, str]:
    """What `bloodnet-client health --connected` says of the node whose health is answered at `port`."""
    command = [str(BIN / "bloodnet-client"), "health", "--connected", "--at", f"{HOST}:{port}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return ended.returncode, ended.stdout.strip()


def answers(link: SuperLink) -> bool:
    try:
        link.online()
    except RoundError:
        return False
    return True
