"""A coordinator and three hospitals in containers, by the compose files, from `init` to a report.

Every container has a network of its own. The hospitals reach the coordinator as they would over the internet, by the
one port that it publishes.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from simulation.engines.loopback import free_ports
from simulation.phantom import PhantomSettings, write_federation
from tests.deploy.engine import COMPOSE, build, run, set_up

pytestmark = [pytest.mark.containers, pytest.mark.slow]

USER = 10001
HOST = "host.containers.internal"
"""By which a container reaches the machine that it runs on."""
SITES = ("site-a", "site-b", "site-c")
RUN = "/coordinator/runs/first"
_LONGEST_S = 900


@dataclass(frozen=True)
class Service:
    """One of the compose files, with what its .env says; `compose` as IT would type it."""

    project: str
    file: str
    name: str
    env: dict[str, str]

    def compose(self, *words: str) -> str:
        return run(COMPOSE, "-f", f"deploy/{self.file}", "-p", self.project, *words, **self.env)

    def once(self, *words: str) -> str:
        """In a container that is gone afterwards."""
        return self.compose("run", "--rm", "-T", self.name, *words)

    def execute(self, *words: str) -> str:
        return run("podman", "exec", self.container, *words)

    @property
    def container(self) -> str:
        found = run("podman", "ps", "-aq", "--filter", f"label=io.podman.compose.project={self.project}").split()
        assert len(found) == 1
        return found[0]

    def seen(self) -> dict[str, Any]:
        (seen,) = json.loads(run("podman", "inspect", self.container))
        return dict(seen)

    def processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.seen()["State"]["Pid"])
        return [first, *first.children(recursive=True)]


@dataclass(frozen=True)
class Federation:
    coordinator: Service
    hospitals: dict[str, Service]
    folder: Path

    @property
    def services(self) -> list[Service]:
        return [self.coordinator, *self.hospitals.values()]

    def states(self) -> dict[str, str]:
        told = json.loads(self.coordinator.execute("bloodnet-server", "status", "/coordinator", "--json"))
        return {site["site"]: site["state"] for site in told["others"]}  # those that are in no run


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("engine")
    set_up(folder)
    return {target: build(target, folder) for target in ("hospital", "coordinator")}


@pytest.fixture(scope="module")
def federation(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Set up as docs/coordinator.md and docs/hospital-it.md say."""
    assert images
    folder = tmp_path_factory.mktemp("federation")
    for upper in (folder, folder.parent):  # pytest makes them for root alone
        upper.chmod(0o711)
    (port,) = free_ports(1)
    server = {"COORDINATOR": str(private(folder / "coordinator")), "PORT": str(port)}
    coordinator = Service("bn-test-coordinator", "compose.server.yaml", "coordinator", server)
    hospitals = {}
    settings = PhantomSettings(hospitals=len(SITES), studies=12, slices=8, matrix=64, seed=3)
    for name, made in zip(SITES, write_federation(folder / "made", settings, 2, lambda: None), strict=True):
        client = {"SITE": str(site_folder(folder / name, made)), "DICOM": str(made / "dicom")}
        hospitals[name] = Service(f"bn-test-{name}", "compose.client.yaml", "node", client)
    whole = Federation(coordinator, hospitals, folder)
    try:
        open_door(whole)
        for name in SITES:
            connect(whole, name, port)
        until(lambda: set(whole.states().values()) == {"connected"})
        yield whole
    finally:
        for service in whole.services:
            print(service.compose("logs")[-3000:])
            service.compose("down")


def private(folder: Path) -> Path:
    """As `sudo install -d -o 10001 -g 10001 -m 700` makes it."""
    folder.mkdir(mode=0o700)
    os.chown(folder, USER, USER)
    return folder


def site_folder(folder: Path, made: Path) -> Path:
    """Labels and masks of a synthetic hospital, and nothing else yet."""
    private(folder)
    for name in ("labels.csv", "masks"):
        if (made / name).exists():
            (made / name).rename(folder / name)
            run("chown", "-R", f"{USER}:{USER}", str(folder / name))
    return folder


def open_door(whole: Federation) -> None:
    told = whole.coordinator.once("init", "/coordinator", "--host", HOST)
    assert "Fingerprint of the authority" in told
    whole.coordinator.compose("up", "-d")
    until(lambda: healthy(whole.coordinator))


def connect(whole: Federation, name: str, port: int) -> None:
    hospital, folder = whole.hospitals[name], whole.folder / name
    assert f"{name}.admission.json" in hospital.once("init", "/site", "--name", name, "--dicom", "/dicom")
    path = folder / "site.yaml"
    site = yaml.safe_load(path.read_text())
    site |= {"minimum_cohort": 1, "minimum_class": 1, "cores": 1}
    site["policy"]["coordinator"] = f"{HOST}:{port}"
    path.write_text(yaml.safe_dump(site))
    hand_over(whole.folder / "coordinator" / "keys" / "ca.crt", folder / "ca.crt")
    sent = whole.folder / "coordinator" / f"{name}.admission.json"
    hand_over(folder / sent.name, sent)
    told = whole.coordinator.execute("bloodnet-server", "admit", "/coordinator", f"/coordinator/{sent.name}")
    assert f"{name} is admitted" in told
    assert "The SuperLink knows" in told
    hospital.once("check", "/site")
    hospital.compose("up", "-d")


def hand_over(file: Path, to: Path) -> None:
    to.write_bytes(file.read_bytes())
    os.chown(to, USER, USER)


def healthy(service: Service) -> bool:
    return not subprocess.run(["podman", "healthcheck", "run", service.container], capture_output=True).returncode


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + _LONGEST_S
    while not happened():
        assert time.monotonic() < end
        time.sleep(2)


def test_no_container_has_more_than_it_needs(federation: Federation) -> None:
    for service in federation.services:
        until(lambda service=service: healthy(service))  # type: ignore[misc]
        for process in service.processes():
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
            assert set(status["Uid"].split() + status["Gid"].split()) == {str(USER)}
            assert status["NoNewPrivs"] == "1"
            assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        tried = "import pathlib\nfor f in '/new', '/opt/bloodnet/new', '/etc/new':\n try: pathlib.Path(f).touch()\n"
        tried += " except OSError as error: print(error.errno)"
        assert service.execute("python", "-c", tried).split() == ["30", "30", "30"]  # read-only file system
        assert service.seen()["HostConfig"]["ReadonlyRootfs"]


def test_networks_are_their_own_and_one_port_of_all_is_published(federation: Federation) -> None:
    networks = {Path(f"/proc/{service.processes()[0].pid}/ns/net").readlink() for service in federation.services}
    assert len(networks | {Path("/proc/self/ns/net").readlink()}) == len(SITES) + 2
    published = {service.project: service.seen()["HostConfig"]["PortBindings"] for service in federation.services}
    assert list(published.pop("bn-test-coordinator")) == ["443/tcp"]
    assert not any(published.values())


def test_a_run_waits_for_a_hospital_that_is_started_anew_and_ends_in_a_report(federation: Federation) -> None:
    """The hospital's container is ended while its site is in no run: gracefully, and within its time."""
    away = federation.hospitals["site-c"]
    began = time.monotonic()
    away.compose("stop")
    assert time.monotonic() - began < 60  # the compose file's; then it would be killed
    assert away.seen()["State"]["ExitCode"] == 0
    words = ["bloodnet-server", "launch", "/coordinator", "--out", RUN]
    words += ["--set", "rounds=2", "--set", "local_epochs=1", "--set", "minimum_sites=3"]
    words += ["--set", "model.preprocessing={rows: 32, columns: 24, spacing_mm: 6.0}"]
    command = ["podman", "exec", federation.coordinator.container, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as launched:
        assert launched.stdout is not None
        told = ""
        while "not connected: site-c" not in told:
            line = launched.stdout.readline()
            assert line, told
            told += line
        away.compose("start")
        told += launched.stdout.read()
        assert launched.wait() == 0, told
    print(told)
    folder = federation.folder / "coordinator" / "runs" / "first"
    assert {"model.safetensors", "report.html", "metrics.json"} <= {path.name for path in folder.iterdir()}
    rounds = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    assert len(rounds) == 2
    counted = {name for line in rounds for name, site in line["sites"].items() if site["status"] == "ok"}
    assert counted == set(SITES)
    for hospital in federation.hospitals.values():
        hospital.execute("bloodnet-client", "audit", "/site")


def test_all_end_gracefully(federation: Federation) -> None:
    """The last of those with containers: nothing answers afterwards."""
    for service in reversed(federation.services):
        began = time.monotonic()
        run("podman", "stop", "--time", "60", service.container)
        print(f"{service.project} ended in {time.monotonic() - began:.1f} s")
        assert service.seen()["State"]["ExitCode"] == 0


def test_images_hold_no_key_no_test_and_no_scan(images: dict[str, str]) -> None:
    for image in images.values():
        root = Path(run("podman", "image", "mount", image).strip())
        try:
            own = {path.name for path in (root / "opt/bloodnet/lib/python3.11/site-packages").iterdir()}
            assert {"bloodnet_model", "client", "server", "strategies"} <= own
            assert not {"tests", "benchmarks", "pytest", "hypothesis", "ray", "mlflow", "onnx", "pip"} & own
            files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
            assert not [path for path in files if path.suffix == ".key" or path.name == "site.yaml"]
            scans = {path.parent.name for path in files if path.suffix == ".dcm"}
            assert scans <= {"charset_files", "palettes"}  # of pydicom: names and colours, no image
            small = [path for path in files if path.stat().st_size < 1 << 16]
            assert not [path for path in small if re.search(rb"-BEGIN [A-Z ]*PRIVATE KEY-----\s", path.read_bytes())]
            assert not [path for path in files if path.name in {"gcc", "cc", "make", "curl", "wget", "git"}]
        finally:
            run("podman", "image", "unmount", image)
