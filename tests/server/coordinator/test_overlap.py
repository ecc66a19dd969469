"""Renewing what the door shows, and replacing who vouches for it, while a run goes on; see docs/coordinator.md."""

import itertools
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from bloodnet_model.errors import DataError
from client.admission import admission_file
from client.keys import make_node_key
from client.site_settings import SITE_FILE, read_site
from server.certificates import AUTHORITY, shown
from server.coordinator.admissions import admit
from server.coordinator.home import LOOPBACK, Home, read_home
from server.coordinator.init import initialise
from server.coordinator.renewal import BOTH, STEPS, renew
from simulation.engines.loopback import free_ports
from simulation.phantom import PhantomSettings, write_federation
from tests.processes import wait_until
from tests.server.coordinator.test_launch import CLIENT, SERVER
from tests.server.coordinator.test_up import folder_for, is_connected, needs_nginx, up
from tests.server.test_certificates import shake_hands

_KILLED = 9


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return initialise(tmp_path / "fl", ["fl.example.org"], None).home


def test_who_holds_both_authorities_connects_before_and_after(home: Home, tmp_path: Path) -> None:
    first = tmp_path / "first.crt"
    shutil.copy(home.authority, first)
    STEPS["add"](home)
    both = home.keys / BOTH
    for step, who in (("add", (first, both)), ("switch", (home.authority, both)), ("switch", (first, both))):
        STEPS[step](home)
        assert [shake_hands(home.keys, "fl.example.org", trusted) for trusted in who] == ["TLSv1.3", "TLSv1.3"]
    STEPS["switch"](home)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(home.keys, "fl.example.org", first)


def test_at_the_end_there_is_one_authority_and_it_is_the_second(home: Home) -> None:
    files, before = {file.name for file in home.keys.iterdir()}, shown(home.authority).fingerprint
    for step in ("switch", "drop"):
        with pytest.raises(DataError, match="begin with `--authority add`"):
            STEPS[step](home)
    told = STEPS["add"](home)
    second = shown(home.keys / "second" / AUTHORITY).fingerprint
    assert second in told
    STEPS["switch"](home)
    STEPS["drop"](home)
    assert {file.name for file in home.keys.iterdir()} == files
    assert shown(home.authority).fingerprint == second != before
    assert all(line.startswith("kept") for line in initialise(home.folder, [], None).done)


def test_a_switch_that_is_killed_anywhere_is_finished_by_typing_it_again(home: Home, tmp_path: Path) -> None:
    """Or by whatever else needs the authority next."""
    STEPS["add"](home)
    before, undisturbed = authorities(home), copied(home, tmp_path / "undisturbed")
    STEPS["switch"](undisturbed)
    after, names = authorities(undisturbed), files_of(undisturbed)
    assert after == {"ca.crt": before["second/ca.crt"], "ca.key": before["second/ca.key"]} | {
        "second/ca.crt": before["ca.crt"],
        "second/ca.key": before["ca.key"],
    }
    for number, killed in enumerate(killed_in("switch", home, tmp_path)):
        other = copied(killed, tmp_path / f"other-{number}")
        STEPS["switch"](killed)
        assert (authorities(killed), files_of(killed)) == (after, names)
        initialise(other.folder, [], None)
        assert authorities(other) in (before, after)
        for one in (killed, other):
            assert shake_hands(one.keys, "fl.example.org", one.authority) == "TLSv1.3"


@pytest.mark.parametrize("step", ["add", "drop"])
def test_another_step_that_is_killed_is_finished_so_too(step: str, home: Home, tmp_path: Path) -> None:
    if step == "drop":
        STEPS["add"](home)
    undisturbed = copied(home, tmp_path / "undisturbed")
    STEPS[step](undisturbed)
    for killed in killed_in(step, home, tmp_path):
        STEPS[step](killed)
        assert {path for path in files_of(killed) if not path.endswith(".part")} == files_of(undisturbed).keys()
        if step == "add":
            STEPS["switch"](killed)
            assert shake_hands(killed.keys, "fl.example.org", killed.keys / BOTH) == "TLSv1.3"


def killed_in(step: str, home: Home, folder: Path) -> Iterator[Home]:
    """Copies of `home` as a step leaves them that is killed before its first change of a file, its second and so on."""
    for changes in itertools.count():
        killed = copied(home, folder / f"killed-{changes}")
        if not is_killed(partial(STEPS[step], killed), killed.folder, changes):
            break
        yield killed
    assert changes > 3


def authorities(home: Home) -> dict[str, bytes]:
    return {str(path.relative_to(home.keys)): path.read_bytes() for path in home.keys.rglob("ca.*")}


def files_of(home: Home) -> dict[str, int]:
    """All below keys/, with who may read them."""
    return {str(path.relative_to(home.keys)): path.stat().st_mode for path in home.keys.rglob("*")}


def copied(home: Home, folder: Path) -> Home:
    shutil.copytree(home.folder, folder)
    return read_home(folder)


def is_killed(what: Callable[[], object], folder: Path, changes: int) -> bool:
    """Do `what` in a process that dies where it would change a file below `folder` once more than `changes` times."""
    if child := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, _KILLED)
        return code == _KILLED
    left = iter(range(changes))

    def watch(event: str, words: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(words[2], int) and words[2] & (os.O_WRONLY | os.O_RDWR)
        is_here = (writes or event in {"os.rename", "os.mkdir"}) and str(folder) in str(words[0])
        if (is_here or event in {"os.remove", "os.rmdir"}) and next(left, None) is None:
            os._exit(_KILLED)

    try:
        sys.addaudithook(watch)
        what()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.slow
@needs_nginx
def test_a_run_loses_nothing_while_its_coordinator_becomes_another(tmp_path: Path) -> None:
    """Renewed in the first round, and vouched for by the second authority from the second round on."""
    home = folder_for(tmp_path / "fl", [LOOPBACK])
    STEPS["add"](home)
    drawn = PhantomSettings(hospitals=1, studies=8, slices=8, matrix=64)
    (hospital,) = write_federation(tmp_path / "hospitals", drawn, 1, lambda: None)
    with (hospital / SITE_FILE).open("a") as file:
        file.write(f"policy:\n  coordinator: {LOOPBACK}:{home.settings.port}\n")
    make_node_key(hospital / "node.key")
    shutil.copy(home.keys / BOTH, hospital / "ca.crt")
    site = read_site(hospital)
    admit(home, admission_file(site), datetime.now(UTC))
    rounds, run = home.runs / "one" / "rounds.jsonl", home.runs / "one"
    words = ("--set", "rounds=2", "--set", "local_epochs=1", "--set", "minimum_sites=1", "--out", str(run))
    with up(home), started(*CLIENT, "run", str(hospital), "--port", str(free_ports(1)[0])) as node:
        wait_until(lambda: is_connected(home, site.settings.name))
        with started(*SERVER, "launch", str(home.folder), *words) as launched:
            wait_until((run / "journal").exists)
            renew(home)
            wait_until(lambda: at_the_door(home) == shown(home.certificate).fingerprint)
            wait_until(rounds.exists)
            STEPS["switch"](home)
            wait_until(lambda: at_the_door(home) == shown(home.certificate).fingerprint)
            assert launched.wait(500) == 0
        assert node.poll() is None
    sites = [json.loads(line)["sites"][site.settings.name] for line in rounds.read_text().splitlines()]
    assert [entry["status"] for entry in sites] == ["ok"] * 2


@contextmanager
def started(*words: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(words)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def at_the_door(home: Home) -> str:
    """Fingerprint of the certificate that hospitals are shown now."""
    shown_now = x509.load_pem_x509_certificate(
        ssl.get_server_certificate((LOOPBACK, home.settings.port), timeout=10).encode()
    )
    return shown_now.fingerprint(hashes.SHA256()).hex(":").upper()
