"""A node whose way to the coordinator is gone for a while, and one that is asked to end while it trains; all real."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml
from rich.console import Console

from client.audit import audit
from client.keys import make_node_key, public_key
from client.network_check import check_network
from client.site_settings import read_site
from server.app import OUT
from server.certificates import AUTHORITY
from server.launch import SuperLink, superlink, watch
from server.run_folder import read_metrics
from server.settings import RunSettings, run_settings, to_run_config
from simulation.engines.loopback import HOST, free_ports, start_superlink
from simulation.engines.programs import programs
from tests.client.doors import carry, door
from tests.client.test_node import answers, how_it_is, start_node
from tests.conftest import DrawHospitals
from tests.processes import lives, wait_until

DOWN_S = 8
"""Up to a minute it costs nothing; after that a node is believed to be away, and its answer waits until it is back."""
STOP_S = 90
"""A node ends within some 10 s, idle or not; the rest is for a busy machine."""


@dataclass
class Line:
    """The way to the SuperLink at `port`; while it is down, connections are taken and cut, as by a proxy."""

    port: int
    up: bool = False
    _open: list[socket.socket] = field(default_factory=list)

    def __call__(self, connection: socket.socket) -> None:
        if not self.up:
            return
        with socket.create_connection((HOST, self.port)) as there:
            self._open += [connection, there]
            threading.Thread(target=carry, args=(there, connection), daemon=True).start()
            carry(connection, there)

    def cut(self) -> None:
        """Go down, with whatever is on its way."""
        self.up = False
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()


@dataclass
class Hospital:
    """One hospital, and a node of it that is started while the line is down."""

    folder: Path
    site: Path
    link: SuperLink
    line: Line
    health: int
    node: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.folder / "node.log").read_text(errors="replace")

    def start(self, settings: RunSettings, out: Path) -> int:
        return int(self.link.start({**to_run_config(settings), OUT: str(out)}))


@pytest.fixture
def hospital(draw_hospitals: DrawHospitals, tmp_path: Path) -> Iterator[Hospital]:
    (site,) = draw_hospitals(tmp_path / "hospitals", 1)
    folder, (port, health) = tmp_path / "flower", free_ports(2)
    keys, line = folder / "keys", Line(port)
    keys.mkdir(parents=True)
    make_node_key(site / "node.key")
    with (
        programs(folder) as started,
        door(line) as way,
        superlink(start_superlink(keys, port, started)) as link,
    ):
        settings = yaml.safe_load((site / "site.yaml").read_text())
        settings |= {"authority": str(keys / AUTHORITY), "policy": {"coordinator": f"{HOST}:{way}"}}
        (site / "site.yaml").write_text(yaml.safe_dump(settings))
        wait_until(lambda: answers(link))
        line.up = True
        assert network_of(site)["heartbeat"] == "not-admitted"
        link.register(public_key(site / "node.key"), site.name)
        assert set(network_of(site).values()) == {"ok"}
        line.cut()
        hospital = Hospital(folder, site, link, line, health, start_node(folder, site, health))
        try:
            yield hospital
        finally:
            hospital.node.kill()
            hospital.node.wait()


@pytest.mark.slow
def test_outages_cost_nothing_and_a_stop_in_training_leaves_nothing_half_done(
    hospital: Hospital, tmp_path: Path
) -> None:
    wait_until(lambda: "The coordinator does not answer" in hospital.log)
    assert how_it_is(hospital.health) == (1, "the node works; no coordinator answers")
    hospital.line.up = True
    wait_until(lambda: hospital.link.online() == {hospital.site.name})
    wait_until(lambda: "The coordinator answers again, after" in hospital.log)  # said when the answer is there

    run = hospital.start(run_settings({"rounds": 2, "local_epochs": 4, "seed": 4, "wait_s": 90.0}), tmp_path / "run")
    wait_until(lambda: "Receiving: train message" in hospital.log)
    hospital.line.cut()
    wait_until(lambda: hospital.log.count("The coordinator does not answer") > 1)
    time.sleep(DOWN_S)
    assert how_it_is(hospital.health)[0] == 1
    hospital.line.up = True
    watch(hospital.link, run, tmp_path / "run", 2, Console(stderr=True))
    rounds = read_metrics(tmp_path / "run")["rounds"]
    assert [line["sites"][hospital.site.name]["status"] for line in rounds] == ["ok", "ok"]
    assert hospital.node.poll() is None
    assert "Traceback" not in hospital.log
    assert "retrying in" not in hospital.log

    trained = hospital.log.count("Receiving: train message")
    hospital.start(run_settings({"rounds": 1, "local_epochs": 5000, "wait_s": 90.0}), tmp_path / "long")
    wait_until(lambda: hospital.log.count("Receiving: train message") > trained)
    wait_until(lambda: bool(apps(hospital.node.pid)))
    time.sleep(DOWN_S)  # into the training
    family = psutil.Process(hospital.node.pid).children(recursive=True)
    hospital.node.send_signal(signal.SIGTERM)
    assert hospital.node.wait(STOP_S) == 0
    assert not any(map(lives, family))
    site = read_site(hospital.site)
    assert audit(site.kept).fault == ""
    assert not [path for path in site.cache.rglob("*") if path.suffix == ".part"]
    hospital.node = start_node(hospital.folder, hospital.site, hospital.health)
    wait_until(lambda: how_it_is(hospital.health)[0] == 0)
    (node,) = hospital.link.nodes()
    hospital.link.unregister(node.number)
    assert hospital.node.wait(STOP_S) == 1
    assert "The coordinator refuses this site" in hospital.log


def network_of(site: Path) -> dict[str, str]:
    """What the network half of `check` finds, by step."""
    return {step.name: step.code or step.state for step in check_network(read_site(site)).steps}


def apps(node: int) -> list[psutil.Process]:
    """Processes of a node in which its app works."""
    found = []
    for one in psutil.Process(node).children(recursive=True):
        with suppress(psutil.Error):  # it ends meanwhile
            found += [one] if "clientapp" in " ".join(one.cmdline()) else []
    return found
