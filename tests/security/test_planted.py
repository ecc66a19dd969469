"""Names, numbers, paths and texts of errors that are planted at a hospital are nowhere on the wire nor at the
coordinator; a hospital without the guard shows that the search would find them."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pydicom
import pytest
import yaml
from rich.console import Console

from bloodnet_model.errors import RoundError
from client.admission import admission_file
from client.audit import Audit, audit, totals
from client.keys import make_node_key
from client.site_settings import Site, read_site
from server.app import OUT
from server.coordinator.admissions import admit
from server.coordinator.home import LOOPBACK, Home
from server.launch import SuperLink, superlink, watch
from server.settings import run_settings, to_run_config
from simulation.engines.loopback import free_ports, start_supernode
from simulation.engines.programs import programs
from simulation.phantom import PhantomSettings, write_federation
from tests.client.test_node import start_node
from tests.processes import wait_until
from tests.security.processes import Seen, watched
from tests.security.relay import Relay, files, found, relay
from tests.security.secrets import open_to_others, spellings
from tests.server.coordinator.test_up import COMMAND, folder_for, needs_nginx

PLANTED, UNGUARDED = "zqplantedk7", "zqunguardedk7"
UIDS = "1.2.826.0.1.3680043.8.498.77."
"""All UIDs of phantoms begin so."""
pytestmark = [pytest.mark.slow, needs_nginx]
REQUEST_BYTES = 4096
"""More than what HTTP and Flower put around an object."""


def planted_hospital(home: Home, folder: Path, port: int) -> Site:
    """A hospital that reaches the coordinator at `port`, in whose every place a token stands."""
    drawn = PhantomSettings(hospitals=1, studies=12, slices=8, matrix=64, seed=5)
    (path,) = write_federation(folder / f"ward-of-dr-{PLANTED}" / "hospitals", drawn, 1, lambda: None)
    for number, file in enumerate(sorted((path / "dicom").rglob("*.dcm"))):
        header = pydicom.dcmread(file)
        header.PatientName, header.PatientID = f"{PLANTED}^Jane", f"{header.PatientID}-{PLANTED}"
        header.AccessionNumber = header.StudyID = PLANTED
        header.InstitutionName = header.ReferringPhysicianName = f"{PLANTED}^Doe"
        header.SeriesDescription = f"HEAD {PLANTED}"
        header.save_as(file.with_name(f"{PLANTED}-{number}.dcm"))
        file.unlink()
    (path / "dicom" / f"{PLANTED}-broken.dcm").write_bytes(bytes(128) + b"DICM" + f"{PLANTED}^Jane".encode() * 9)
    with (path / "labels.csv").open("a") as table:
        table.write(f"{PLANTED},1,0,0,0,1,0,masks/{PLANTED}.nii.gz\n")
    settings = yaml.safe_load((path / "site.yaml").read_text())
    settings["policy"] = {"coordinator": f"{LOOPBACK}:{port}"}
    (path / "site.yaml").write_text(yaml.safe_dump(settings))
    shutil.copy(home.authority, path / "ca.crt")
    make_node_key(path / "node.key")
    site = read_site(path)
    admit(home, admission_file(site), datetime.now().astimezone())
    return site


@contextmanager
def up(home: Home, log: Path) -> Iterator[tuple[SuperLink, int]]:
    """The coordinator, whose words, all that it has, are in `log`, and the number of its process."""
    loud = os.environ | {"FLWR_LOG_LEVEL": "DEBUG"}
    with log.open("wb") as written:
        process = subprocess.Popen([*COMMAND, "up", str(home.folder)], stdout=written, stderr=written, env=loud)
    try:
        wait_until(lambda: process.poll() is not None or b"up: hospitals reach" in log.read_bytes())
        assert process.poll() is None, log.read_text()
        with superlink(home.connection) as link:
            yield link, process.pid
    finally:
        process.terminate()
        process.wait(60)


def run(link: SuperLink, home: Home, name: str, *sites: str) -> str:
    """A run of one round to its end; what is said of it if it fails."""
    asked = {"rounds": 1, "local_epochs": 1, "seed": 4, "wait_s": 90.0, "minimum_sites": len(sites), "sites": sites}
    settings, out = run_settings(asked), home.runs / name
    number = link.start({**to_run_config(settings), OUT: str(out)})
    try:
        watch(link, number, out, settings.rounds, Console(stderr=True))
    except RoundError as error:
        return str(error)
    return ""


def crash(flower: Path) -> None:
    """From now on an app's process fails before our code begins, with an exception that names this folder."""
    shutil.rmtree(flower / "apps", ignore_errors=True)
    flower.mkdir(parents=True, exist_ok=True)
    (flower / "apps").write_text("in the way")


def live_through_it(
    folder: Path, link: SuperLink, home: Home, site: Site, wire: Relay, seen: Seen
) -> tuple[bytes, Audit]:
    """A run; one in which labels cannot be read; one in which apps' processes fail, there and at an unguarded site.

    What was sent before that last one, and the egress log of then.
    """
    flower, unguarded = site.cache / "flower", folder / UNGUARDED
    node = start_node(folder, site.folder, free_ports(1)[0], FLWR_HOME=str(flower))
    try:
        wait_until(lambda: link.online() == {"hospital-1"})
        seen.also(node.pid)
        assert run(link, home, "good", "hospital-1") == ""
        site.labels.write_text(f"{PLANTED},any\n1,2\n")
        assert "hospital-1: bad data" in run(link, home, "bad-labels", "hospital-1")
        sent, log = wire.sent, audit(site.kept)
        (unguarded / "keys").mkdir(parents=True)
        shutil.copy(home.authority, unguarded / "keys")
        crash(flower)
        crash(unguarded / "supernode-hospital-2")
        with programs(unguarded) as started:
            ports = (wire.port, free_ports(1)[0])
            start_supernode(link, folder / "hospital-2", unguarded / "keys", ports, started)
            wait_until(lambda: link.online() == {"hospital-1", "hospital-2"})
            said = run(link, home, "crash", "hospital-1", "hospital-2")
        assert "the app failed at hospital-1" in said
        assert "the app failed at hospital-2" in said
        return sent, log
    finally:
        node.terminate()
        node.wait(60)


@dataclass(frozen=True)
class Lived:
    """What there is after all of it: what passed, and by name what lies at the coordinator and in logs."""

    home: Home
    site: Site
    sent: bytes
    sent_before: bytes
    log_before: Audit
    received: bytes
    at_coordinator: Mapping[str, bytes]
    node_log: bytes
    seen: Seen


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("planted")
    home, log = folder_for(folder / "fl", [LOOPBACK]), folder / "up.log"
    with relay(home) as wire:
        site = planted_hospital(home, folder, wire.port)
        with up(home, log) as (link, coordinator), watched(coordinator) as seen:
            before, log_before = live_through_it(folder, link, home, site, wire, seen)
        sent, received = wire.sent, wire.received
    there = {"what `up` said": log.read_bytes()} | {str(path): content for path, content in files(home.folder)}
    node_log = (folder / "node.log").read_bytes()
    return Lived(home, site, sent, before, log_before, received, there, node_log, seen)


def test_nothing_that_is_planted_at_a_hospital_leaves_it(lived: Lived) -> None:
    names = {Path(name).name for name in lived.at_coordinator}
    assert names >= {"what `up` said", "state.db", "report.html", "rounds.jsonl", "admissions.jsonl"}
    places = {"sent": lived.sent, "received": lived.received, **lived.at_coordinator}
    searched = [(name, token, found(token, content)) for name, content in places.items() for token in (PLANTED, UIDS)]
    assert [(name, token, there) for name, token, there in searched if there] == []


def test_what_does_leave_is_found(lived: Lived) -> None:
    """A site's name, here that of its scanner, and what a site without the guard says of a failure."""
    for stream in (lived.sent, lived.received):
        assert b"content-encoding" not in stream.lower()  # nothing was packed: a token would show
    for token in ("hospital-1", "synthetic-north-axial-one", UNGUARDED):
        assert found(token, lived.sent)
    assert found(PLANTED, lived.node_log)


def test_each_answer_that_left_has_its_line(lived: Lived) -> None:
    """And no more left than the lines say, but for what HTTP and Flower put around it."""
    sent, log = lived.sent_before, lived.log_before
    assert log.fault == audit(lived.site.kept).fault == ""
    assert sent.count(b"POST /v1/fleet/push-messages") == len(log.lines)
    assert len(audit(lived.site.kept).lines) == len(log.lines) + 1  # of the process that failed
    told = totals(log.lines)["bytes"]
    assert 0 < told < len(sent) < told + REQUEST_BYTES * sent.count(b"POST /v1/fleet/")


def test_private_keys_are_nowhere_but_in_their_files(lived: Lived) -> None:
    """Neither among arguments, nor in environments, nor in logs."""
    assert lived.seen.programs >= {"flower-supernode", "flower-superlink", "flwr-serverapp", "flwr-clientapp"}
    places = {"ps": lived.seen.all, "node.log": lived.node_log, "sent": lived.sent, "received": lived.received}
    keys = {lived.site.folder / "node.key", *lived.home.keys.glob("*.key")}
    assert {key.name for key in keys} >= {"node.key", "ca.key", "server.key"}
    for key in keys:
        assert key.stat().st_mode & 0o077 == 0
        named = {**places, **lived.at_coordinator}.items()
        elsewhere = [name for name, content in named if any(one in content for one in spellings(key))]
        assert set(elsewhere) <= {str(key)}


def test_what_was_written_meanwhile_is_for_its_owner_alone(lived: Lived) -> None:
    assert not open_to_others(lived.home.folder)
    assert not open_to_others(lived.site.cache)
