"""Four hospitals and a coordinator, each a machine of its own on this one, set up and run by their own commands."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import yaml

from benchmarks.faults.cables import COORDINATOR, Cable, cables
from benchmarks.faults.remains import nothing_remains
from benchmarks.faults.service import Service
from benchmarks.faults.waiting import wait_until
from client.site_settings import SITE_FILE
from server.coordinator.home import CONFIG, Home, read_home
from server.settings import run_settings
from simulation.engines.loopback import free_ports
from simulation.engines.registry import LOCAL_ENGINE, run_with
from simulation.phantom import PhantomSettings, write_federation

SITES: Final = 4
ROUNDS: Final = 30
"""More than are needed; the run is left when all faults are made."""
_HOSPITALS: Final = PhantomSettings(hospitals=SITES, studies=12, slices=8, matrix=64, seed=5)
_SETTINGS: Final = {
    "rounds": ROUNDS,
    "local_epochs": 1,
    "minimum_sites": SITES,  # so that the same sites take part in every round, whatever happens
    "deadline_s": 600,
    "wait_s": 600,
    "seed": 4,
    "model": {
        "preset": "tiny",
        "preprocessing": {"rows": 32, "columns": 32, "spacing_mm": 7.0},
        "training": {"slices_per_study": 2, "positive_slices_per_study": 1, "studies_per_step": 2},
    },
}
_SITE: Final = {"minimum_cohort": 1, "minimum_class": 1, "cores": 1}
_DISK: Final = "size=256m,mode=0700"
_BIN: Final = Path(sys.executable).parent
_FASTER: Final = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass
class Hospital:
    """A site on a machine of its own, its folder on a disk of its own."""

    name: str
    folder: Path
    cable: Cable
    node: Service

    def processes(self, program: str) -> list[psutil.Process]:
        """Those of the site whose command line holds `program`."""
        return _processes(self.folder / ".bloodnet" / "flower", program)


@dataclass
class Federation:
    """All of it, up and connected; the coordinator's folder is on a disk of its own.

    reference: the run folder of the same settings without faults
    """

    home: Home
    up: Service
    hospitals: list[Hospital]
    settings: Path
    reference: Path

    def processes(self, program: str) -> list[psutil.Process]:
        """Those of the coordinator whose command line holds `program`."""
        return _processes(self.home.flower, program)

    def proxies(self) -> list[psutil.Process]:
        """The door's first process: nginx writes over the surroundings that the others are found by."""
        return [one for one in psutil.process_iter() if _is_master_in(one, self.home.nginx)]

    def online(self) -> int | None:
        """How many sites are connected; None where the SuperLink does not answer."""
        told = json.loads(typed("bloodnet-server", "sites", self.home.folder, "--json"))
        connected = [site.get("connected") for site in told]
        return None if None in connected else sum(connected)

    @property
    def is_up(self) -> bool:
        return bool(json.loads(typed("bloodnet-server", "status", self.home.folder, "--json"))["is_up"])


def typed(*words: str | Path) -> str:
    """What a command of ours prints; raises RuntimeError with its words where it fails."""
    command = [str(_BIN / words[0]), *map(str, words[1:])]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)  # nobody is asked
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def command(*words: str | Path) -> list[str]:
    """One of ours, to be started."""
    return ["env", *(f"{name}={value}" for name, value in _FASTER.items()), str(_BIN / words[0]), *map(str, words[1:])]


@contextmanager
def federation(folder: Path) -> Iterator[Federation]:
    """Set up below `folder` and connected; at the end of the block nothing of it is left running."""
    with ExitStack() as block:
        lines = block.enter_context(cables(SITES))
        block.enter_context(nothing_remains())
        home = _coordinator(block, folder / "coordinator")
        hospitals = _hospitals(block, folder, home, lines)
        typed(
            "bloodnet-server", "admit", home.folder, *(one.folder / f"{one.name}.admission.json" for one in hospitals)
        )
        (folder / "run.yaml").write_text(yaml.safe_dump(_SETTINGS))
        up = Service(command("bloodnet-server", "up", home.folder), folder / "up.log")
        made = Federation(home, up, hospitals, folder / "run.yaml", _reference(folder))
        block.callback(_end, made)
        for service in (made.up, *(one.node for one in hospitals)):
            service.start()
        wait_until(lambda: made.online() == SITES, "every hospital is connected")
        yield made


def _coordinator(block: ExitStack, folder: Path) -> Home:
    _mount(block, folder)
    typed("bloodnet-server", "init", folder, "--host", COORDINATOR, "--port", str(free_ports(1)[0]))
    config = yaml.safe_load((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(yaml.safe_dump({**config, "superlink_port": free_ports(1)[0]}))
    return read_home(folder)


def _hospitals(block: ExitStack, folder: Path, home: Home, lines: list[Cable]) -> list[Hospital]:
    made = []
    for drawn, cable in zip(write_federation(folder / "drawn", _HOSPITALS, 2, lambda: None), lines, strict=True):
        site = folder / drawn.name
        _mount(block, site)
        typed("bloodnet-client", "init", site, "--name", site.name, "--dicom", "dicom")
        config = yaml.safe_load((site / SITE_FILE).read_text())
        shutil.copytree(drawn, site, dirs_exist_ok=True)
        shutil.copy(home.authority, site)
        config["policy"]["coordinator"] = f"{COORDINATOR}:{home.settings.port}"
        (site / SITE_FILE).write_text(yaml.safe_dump({**config, **_SITE}))
        node = Service(cable.command(*command("bloodnet-client", "run", site)), folder / f"{site.name}.log")
        made.append(Hospital(site.name, site, cable, node))
    return made


def _reference(folder: Path) -> Path:
    """The same run in this process, over copies of the sites: no network, and no faults."""
    names, out = [f"hospital-{number}" for number in range(1, SITES + 1)], folder / "reference"
    run_with(
        LOCAL_ENGINE, run_settings({**_SETTINGS, "sites": names}), [folder / "drawn" / name for name in names], out, 2
    )
    return out


def _mount(block: ExitStack, folder: Path) -> None:
    """A small disk at `folder`."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", str(folder)], check=True)
    block.callback(subprocess.run, ["umount", "-l", str(folder)])


def _end(made: Federation) -> None:
    """As their machines' owners would."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(Service.stop, (made.up, *(one.node for one in made.hospitals))))


def _is_master_in(process: psutil.Process, folder: Path) -> bool:
    with suppress(psutil.Error):
        return process.cwd() == str(folder) and "nginx: master" in " ".join(process.cmdline())
    return False


def _processes(home: Path, program: str) -> list[psutil.Process]:
    """Found by the home of Flower that they were given."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # others' processes, and those that end meanwhile
            ours = process.environ().get("FLWR_HOME") == str(home)
            if ours and process.pid != os.getpid() and any(program in word for word in process.cmdline()):
                found.append(process)
    return found
