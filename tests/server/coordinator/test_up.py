"""The door, tried from another machine with the authority's certificate in hand; then what `up` does when it ends."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from json import load
from pathlib import Path

import psutil
import pytest

from bloodnet_model.errors import DataError, SettingsError
from client.admission import admission_file
from client.keys import make_node_key, public_key
from client.site_settings import Site, SiteSettings
from server.certificates import issue_server_certificate
from server.coordinator.admissions import admit, admitted, bring_running_in_step, revoke
from server.coordinator.home import LOOPBACK, Home
from server.coordinator.init import initialise
from server.coordinator.proxy import ROUTES
from server.coordinator.site_list import connected_nodes
from server.coordinator.up import serve
from server.launch import superlink
from simulation.engines.loopback import free_ports
from tests.processes import lives, wait_until
from tests.server.coordinator.another_machine import AnotherMachine, another_machine, why_not

pytestmark = pytest.mark.slow
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
FLEET = {f"/v1/fleet/{route}" for route in ROUTES}
COMMAND = [sys.executable, "-c", "from server.cli import main; main()"]
_START_S = 300


@dataclass
class Coordinator:
    """A coordinator that is up."""

    home: Home
    process: subprocess.Popen[str]
    programs: list[psutil.Process] = field(default_factory=list)


def folder_for(folder: Path, hosts: list[str]) -> Home:
    home = initialise(folder, hosts, free_ports(1)[0]).home
    settings = home.settings.model_copy(update={"superlink_port": free_ports(1)[0]})
    (folder / "coordinator.yaml").write_text(settings.model_dump_json())  # JSON is YAML
    return Home(home.folder, settings)


@contextmanager
def up(home: Home) -> Iterator[Coordinator]:
    network = os.environ | {"HTTPS_PROXY": "http://127.0.0.1:9"}  # which is not for what talks on this machine
    process = subprocess.Popen([*COMMAND, "up", str(home.folder)], stderr=subprocess.PIPE, text=True, env=network)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("up: hospitals reach"), said + process.stderr.read()
        yield Coordinator(home, process, psutil.Process(process.pid).children(recursive=True))
    finally:
        process.terminate()
        process.communicate(timeout=30)


def admit_site(home: Home, name: str) -> Site:
    folder = home.folder.parent / name
    folder.mkdir()
    make_node_key(folder / "node.key")
    site = Site(folder, SiteSettings(name=name, dicom=("dicom",)))
    admit(home, admission_file(site), datetime.now().astimezone())
    return site


def is_connected(home: Home, name: str) -> bool:
    return any(node.online for node in connected_nodes(home) or [] if node.name == name)


needs_nginx = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx-light")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[AnotherMachine]:
    if reason := why_not():
        pytest.skip(reason)
    with another_machine() as machine:
        yield machine


@pytest.fixture(scope="module")
def coordinator(elsewhere: AnotherMachine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    home = folder_for(tmp_path_factory.mktemp("door") / "fl", [elsewhere.here])
    admit_site(home, "site-a")  # before there is a SuperLink
    with up(home) as running:
        yield running


@needs_nginx
def test_only_the_fleet_routes_that_a_supernode_needs_are_open(
    coordinator: Coordinator, elsewhere: AnotherMachine
) -> None:
    settings, authority = coordinator.home.settings, str(coordinator.home.authority)
    far, inner = (elsewhere.here, settings.port, authority), ssl.create_default_context(cafile=coordinator.home.inner)
    with urllib.request.urlopen(f"https://{LOOPBACK}:{settings.superlink_port}/openapi.json", context=inner) as answer:
        routes = sorted(load(answer)["paths"])
    assert len(routes) > 70
    assert set(routes) >= FLEET
    with superlink(coordinator.home.connection) as link:  # the routes are there, for whoever is on this machine
        assert [node.name for node in link.nodes()] == ["site-a"]
    posted = dict(zip(routes, elsewhere.tries([("ask", *far, "POST", route) for route in routes]), strict=True))
    assert {route for route, status in posted.items() if status != 404} == FLEET
    assert {posted[route] for route in FLEET} == {401}  # of the SuperLink, which wants a signature
    others = [*routes, "/docs", "/redoc", "/", "/health"]
    got = elsewhere.tries([("ask", *far, "GET", route) for route in others])
    assert set(got) == {403, 404}
    assert [route for route, status in zip(others, got, strict=True) if status == 403] == sorted(FLEET)
    tricks = [
        "/v1/fleet/../control/list-nodes",
        "/v1/fleet/pull-messages/../../control/list-nodes",
        "//v1/control/list-nodes",
    ]
    tricks += ["/v1/fleet/%2e%2e/control/list-nodes", "/v1/fleet/pull-messages%2f..%2f..%2fcontrol/list-nodes"]
    tricks += [
        "/V1/CONTROL/list-nodes",
        "/v1/fleet/register-node?/v1/fleet/get-run",
        "/v1/control/list-nodes;/v1/fleet/get-run",
    ]
    assert set(elsewhere.tries([("ask", *far, "POST", trick) for trick in tricks])) <= {400, 404}


@needs_nginx
def test_nothing_but_tls_of_today_at_the_one_port(coordinator: Coordinator, elsewhere: AnotherMachine) -> None:
    settings, authority = coordinator.home.settings, str(coordinator.home.authority)
    far = (elsewhere.here, settings.port)
    versions = ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3")
    tries: list[tuple[object, ...]] = [("shake_hands", *far, authority, version) for version in versions]
    tries += [("ask_plainly", *far, "POST", "/v1/fleet/pull-messages")]
    tries += [("ask", elsewhere.here, settings.superlink_port, authority, "POST", "/v1/control/list-nodes")]
    refused = "TLSV1_ALERT_PROTOCOL_VERSION"
    assert elsewhere.tries(tries) == [refused, refused, "TLSv1.2", "TLSv1.3", 400, "ConnectionRefusedError"]


@needs_nginx
def test_a_key_that_is_not_admitted_gets_nowhere(
    coordinator: Coordinator, elsewhere: AnotherMachine, tmp_path: Path
) -> None:
    home = coordinator.home
    site, own, stolen = home.folder.parent / "site-a" / "node.key", tmp_path / "own.key", admitted(home)["site-a"]
    make_node_key(own)
    far = (elsewhere.here, home.settings.port, str(home.authority))
    outcomes = elsewhere.tries(
        [
            ("activate", *far, public_key(own).strip(), str(own)),
            ("activate", *far, stolen.admission.public_key, str(own)),  # a copied public key
            ("activate", *far, stolen.admission.public_key, str(site)),
        ]
    )
    assert outcomes[0] >= 400
    assert outcomes[1:] == [401, 200]


@needs_nginx
def test_an_admitted_site_connects_until_it_is_revoked(
    coordinator: Coordinator, elsewhere: AnotherMachine, tmp_path: Path
) -> None:
    home, site = coordinator.home, admit_site(coordinator.home, "site-b")
    assert bring_running_in_step(home)

    def supernode(port: int) -> subprocess.Popen[bytes]:
        words = [str(Path(sys.executable).parent / "flower-supernode"), "--superlink"]
        words += [f"{elsewhere.here}:{home.settings.port}", "--root-certificates", str(home.authority)]
        words += [
            "--auth-supernode-private-key",
            str(site.folder / "node.key"),
            "--host",
            LOOPBACK,
            "--port",
            str(port),
        ]
        surroundings = os.environ | {"FLWR_HOME": str(tmp_path), "FLWR_TELEMETRY_ENABLED": "0"}
        surroundings |= {
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        return subprocess.Popen(elsewhere.command(*words), env=surroundings, start_new_session=True)

    node = supernode(9101)
    try:
        wait_until(lambda: is_connected(home, "site-b"))
        revoke(home, "site-b", datetime.now().astimezone())
        assert bring_running_in_step(home)
        assert not is_connected(home, "site-b")
        node.wait(_START_S)  # it ends by itself, at its next word to the SuperLink
        again = supernode(9102)
        assert again.wait(_START_S) != 0
        assert not is_connected(home, "site-b")
    finally:
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # others' processes
                if process.environ().get("FLWR_HOME") == str(tmp_path):
                    process.kill()


def ends_with(running: Coordinator, number: signal.Signals) -> None:
    """Told to end, it does, and everything with it."""
    family = psutil.Process(running.process.pid).children(recursive=True)
    running.process.send_signal(number)
    assert running.process.wait(30) == 0
    assert not list(filter(lives, [*running.programs, *family]))


def killed(running: Coordinator, words: str) -> None:
    (victim,) = [program for program in running.programs if words in " ".join(program.cmdline())]
    victim.kill()


@needs_nginx
def test_if_the_superlink_dies_both_end_with_a_sentence(tmp_path: Path) -> None:
    with up(folder_for(tmp_path / "fl", [LOOPBACK])) as running:
        killed(running, "flower-superlink")
        assert running.process.wait(30) == 1
        assert running.process.stderr is not None
        assert "error: SuperLink ended by itself with code -9" in running.process.stderr.read()
        assert not list(filter(lives, running.programs))


def shakes_hands(home: Home) -> bool:
    context = ssl.create_default_context(cafile=str(home.authority))
    try:
        with socket.create_connection((LOOPBACK, home.settings.port)) as raw:
            context.wrap_socket(raw, server_hostname=LOOPBACK).close()
    except OSError:
        return False
    return True


@needs_nginx
def test_if_nginx_dies_it_is_started_again_and_the_superlink_goes_on_until_it_is_told_to_end(tmp_path: Path) -> None:
    home = folder_for(tmp_path / "fl", [LOOPBACK])
    with up(home) as running:
        killed(running, "nginx: master")
        assert running.process.stderr is not None
        told = iter(running.process.stderr.readline, "")
        assert any("nginx ended by itself with code -9, and is started again" in line for line in told)
        wait_until(lambda: shakes_hands(home))
        (superlink,) = [one for one in running.programs if lives(one) and "flower-superlink" in " ".join(one.cmdline())]
        assert superlink.parent() == psutil.Process(running.process.pid)
        ends_with(running, signal.SIGINT)


@needs_nginx
def test_what_a_killed_one_left_behind_is_ended(tmp_path: Path) -> None:
    home = folder_for(tmp_path / "fl", [LOOPBACK])
    with up(home) as running:
        with pytest.raises(DataError, match="is up already"):
            serve(home, print)
        running.process.kill()
        running.process.wait()
        with up(home) as again:
            assert again.process.poll() is None
            assert not list(filter(lives, running.programs))
            ends_with(again, signal.SIGTERM)


def test_what_is_missing_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = folder_for(tmp_path / "fl", [LOOPBACK])
    with monkeypatch.context() as changed:
        changed.setattr(shutil, "which", lambda *_, **__: None)
        with pytest.raises(SettingsError, match="apt-get install nginx-light"):
            serve(home, print)
    if NGINX is not None:
        issue_server_certificate(home.keys, [LOOPBACK], days=0)
        with pytest.raises(DataError, match="has expired; `bloodnet-server renew"):
            serve(home, print)
