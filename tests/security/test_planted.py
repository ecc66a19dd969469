"""Names, numbers, paths and texts of errors that are planted at a hospital are nowhere on the wire nor at the
coordinator; a hospital without the guard shows that the search would find them."""

import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pydicom
import pytest
import yaml
from rich.console import Console

from bloodnet_model.errors import RoundError
from client.admission import admission_file
from client.audit import audit, totals
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
from tests.client.test_node import start_node, wait_until
from tests.security.processes import Seen, watched
from tests.security.relay import Relay, files, found, relay
from tests.security.secrets import open_to_others, spellings
from tests.server.coordinator.test_up import COMMAND, folder_for, needs_nginx

PLANTED, UNGUARDED = "zqplantedk7", "zqunguardedk7"
UIDS = "1.2.826.0.1.3680043.8.498.77."
"""All UIDs of phantoms begin so."""
REQUEST_BYTES = 4096
"""More than what HTTP and Flower put around an object."""


@pytest.mark.parametrize("written", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_token_is_found_however_it_is_written(written: str) -> None:
    token = f"Patient {PLANTED.upper()}^Jane".encode(written)
    assert found(PLANTED, b"\0\1" + token)
    assert not found(PLANTED, b"\0\1" + token.replace("Q".encode(written), b""))


@pytest.mark.parametrize("before", range(4))
def test_a_token_is_found_in_base64_and_hexadecimal(before: int) -> None:
    content = bytes(before) + PLANTED.encode() + b"^jane"
    assert found(PLANTED, b64encode(content))
    assert found(PLANTED, content.hex().upper().encode())


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


def require_one_line_for_each(site: Site, sent: bytes) -> None:
    """Each answer that left has a line of the egress log, and no more left than is in its lines."""
    found_there = audit(site.kept)
    assert found_there.fault == ""
    assert sent.count(b"POST /v1/fleet/push-messages") == len(found_there.lines)
    around = REQUEST_BYTES * sent.count(b"POST /v1/fleet/")
    assert 0 < totals(found_there.lines)["bytes"] < len(sent) < totals(found_there.lines)["bytes"] + around


@pytest.mark.slow
@needs_nginx
def test_nothing_that_is_planted_at_a_hospital_leaves_it(tmp_path: Path) -> None:
    home = folder_for(tmp_path / "fl", [LOOPBACK])
    with relay(home) as wire:
        site = planted_hospital(home, tmp_path, wire.port)
        with up(home, tmp_path / "up.log") as link:
            live_through_it(tmp_path, link, home, site, wire)
    for stream in (wire.sent, wire.received):
        assert b"content-encoding" not in stream.lower()  # nothing was packed: a token would show
    for name in ("hospital-1", "synthetic-north-axial-one"):  # a site's name, and here that of its scanner, do leave
        assert found(name, wire.sent)
    assert found(UNGUARDED, wire.sent)
    places = [("sent", wire.sent), ("received", wire.received), ("up", (tmp_path / "up.log").read_bytes())]
    places += [(str(path), content) for path, content in files(home.folder)]
    assert {"state.db", "report.html", "rounds.jsonl"} <= {Path(name).name for name, _ in places}
    leaks = [(name, token, there) for name, of in places for token in (PLANTED, UIDS) if (there := found(token, of))]
    assert leaks == []
    require_secrets_kept(home, site, [*places, ("node", (tmp_path / "node.log").read_bytes()), ("ps", seen.all)])
    assert {"flower-supernode", "flower-superlink", "flwr-serverapp", "flwr-clientapp"} <= seen.programs


def require_secrets_kept(home: Home, site: Site, places: Sequence[tuple[str, bytes]]) -> None:
    """No private key stands anywhere but in its file, and what was written is for its owner alone."""
    keys = {site.folder / "node.key", *home.keys.glob("*.key")}
    assert len(keys) == 3
    for key in keys:
        elsewhere = [name for name, of in places if name != str(key) and any(one in of for one in spellings(key))]
        assert elsewhere == []
        assert key.stat().st_mode & 0o077 == 0
    assert not open_to_others(home.folder)
    assert not open_to_others(site.cache)


def live_through_it(folder: Path, link: SuperLink, home: Home, site: Site, wire: Relay, seen: Seen) -> None:
    """A run; one in which the labels cannot be read; one in which apps' processes fail, at an unguarded site, too."""
    flower = site.cache / "flower"
    node = start_node(folder, site.folder, free_ports(1)[0], FLWR_HOME=str(flower))
    try:
        wait_until(lambda: link.online() == {"hospital-1"})
        seen.also(node.pid)
        assert run(link, home, "good", "hospital-1") == ""
        site.labels.write_text(f"{PLANTED},any\n1,2\n")
        assert "hospital-1: bad-data" in run(link, home, "bad-labels", "hospital-1")
        crash(flower)
        assert "hospital-1: node-error" in run(link, home, "crash", "hospital-1")
        require_one_line_for_each(site, wire.sent)
        (folder / UNGUARDED / "keys").mkdir(parents=True)
        shutil.copy(home.authority, folder / UNGUARDED / "keys")
        crash(folder / UNGUARDED / "supernode-hospital-2")
        with programs(folder / UNGUARDED) as started:
            ports = (wire.port, free_ports(1)[0])
            start_supernode(link, folder / "hospital-2", folder / UNGUARDED / "keys", ports, started)
            wait_until(lambda: "hospital-2" in link.online())
            assert "hospital-2: node-error" in run(link, home, "unguarded", "hospital-2")
    finally:
        node.terminate()
        node.wait(60)
