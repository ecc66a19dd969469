"""A round over the network where nothing is trained, ours and stock Flower's: what is left is what federating costs.

Three sites, 5.0 million parameters, TLS and a key for each site. Ours as hospitals have it: `bloodnet-server up` with
its door, `bloodnet-client run`, `bloodnet-server launch`; a site trains one step on two tiny slices
and scores two tiny studies. Stock Flower has
no door, and its sites send the weights back as they came. In each, a round trains and evaluates.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final
from unittest.mock import patch

import psutil
import yaml
from flwr.cli.build import build_fab_from_disk

from benchmarks.process_tree import cpu_seconds
from benchmarks.tiny_hospitals import NETWORK, configuration, drawn
from bloodnet_model.network import build_network
from client.admission import admission_file
from client.keys import make_node_key
from client.site_settings import SITE_FILE, read_site
from server.coordinator.admissions import admit
from server.coordinator.home import CONFIG, LOOPBACK, Home
from server.coordinator.init import initialise
from server.coordinator.site_list import connected_nodes
from server.launch import NoAnswer, SuperLink, superlink
from server.run_folder import ROUNDS as ROUNDS_FILE
from server.settings import run_settings
from simulation.engines.loopback import ONE_THREAD, free_ports, let_in, start_superlink, supernode_command
from simulation.engines.programs import programs

SITES: Final = 3
ROUNDS: Final = 5
_BIN: Final = Path(sys.executable).parent
_STOCK: Final = Path(__file__).parent / "stock_flower"
_LONGEST_S: Final = 900.0
_POLL_S: Final = 0.1

Figures = dict[str, float]


def measure(rounds: int = ROUNDS) -> dict[str, Figures]:
    """Seconds of the clock and of all processors a round, the median of those after the first."""
    found = {}
    for name, one in (("ours", _ours), ("stock Flower", _stock)):
        with tempfile.TemporaryDirectory(prefix="bloodnet-") as folder:
            found[name] = one(Path(folder).resolve(), rounds)
        print(
            f"  {name}: {found[name]['seconds']:.1f} s a round, {found[name]['cpu_s']:.1f} s of processor", flush=True
        )
    for unit, words in (("seconds", "the clock"), ("cpu_s", "processors")):
        print(f"  by {words}, stock Flower takes {found['stock Flower'][unit] / found['ours'][unit]:.1f} times ours")
    return found


def _ours(folder: Path, rounds: int) -> Figures:
    hospitals = drawn(folder / "hospitals", SITES)
    door, inner, *ports = free_ports(2 + SITES)
    home = _coordinator(folder / "coordinator", door, inner)
    run, settings = home.runs / "run", _run_settings(folder, hospitals, rounds)
    with ExitStack() as block:
        sites = [_hospital(site.parent, home) for site in sorted(hospitals.glob(f"*/{SITE_FILE}"))]
        log = block.enter_context((folder / "log").open("w"))

        def start(*words: str | Path) -> None:
            command = [str(_BIN / str(words[0])), *map(str, words[1:])]
            process = subprocess.Popen(command, stdout=log, stderr=log)
            block.callback(process.wait, 60)
            block.callback(process.terminate)

        start("bloodnet-server", "up", home.folder)
        for site, port in zip(sites, ports, strict=True):
            start("bloodnet-client", "run", site, "--port", str(port), "--health", f"{LOOPBACK}:{free_ports(1)[0]}")
        _wait(lambda: sum(node.online for node in connected_nodes(home) or []) == SITES)
        start("bloodnet-server", "launch", home.folder, "--config", settings, "--out", run)
        figures = _figures(run / ROUNDS_FILE, rounds)
    return figures


def _coordinator(folder: Path, door: int, inner: int) -> Home:
    home = initialise(folder, [LOOPBACK], door).home
    settings = home.settings.model_copy(update={"superlink_port": inner})
    (folder / CONFIG).write_text(settings.model_dump_json())
    return Home(home.folder, settings)


def _hospital(site: Path, home: Home) -> Path:
    written = yaml.safe_load((site / SITE_FILE).read_text())
    written |= {
        "cores": 1,
        "validation_share": 0.5,
        "test_share": 0.0,
        "policy": {"coordinator": f"{LOOPBACK}:{home.settings.port}"},
    }
    (site / SITE_FILE).write_text(yaml.safe_dump(written))
    make_node_key(site / "node.key")
    shutil.copy(home.authority, site / "ca.crt")
    admit(home, admission_file(read_site(site)), datetime.now(UTC))
    return site


def _run_settings(folder: Path, hospitals: Path, rounds: int) -> Path:
    path = configuration(folder / "run.yaml", hospitals, rounds)
    path.write_text(f"{path.read_text()}minimum_sites: {SITES}\n")
    return path


def _stock(folder: Path, rounds: int) -> Figures:
    port, *ports = free_ports(1 + SITES)
    told = folder / "told"
    bundle = build_fab_from_disk(_STOCK)
    with programs(folder) as started, superlink(start_superlink(folder / "keys", port, started)) as link:
        _wait(lambda: _online(link) == 0)
        for number, own in enumerate(ports):
            site, keys = folder / f"site-{number}", folder / "keys"
            command = supernode_command(let_in(link, site, keys), site, keys, (port, own))
            started.start(f"supernode-{number}", command, **ONE_THREAD)
        _wait(lambda: _online(link) == SITES)
        shapes = json.dumps(
            [
                list(parameter.shape)
                for parameter in build_network(run_settings({"model": NETWORK}).model, 0).parameters()
            ]
        )
        with patch("server.launch.app_bundle", lambda: bundle):
            link.start({"shapes": shapes, "rounds": rounds, "sites": SITES, "told": str(told)})
        return _figures(told, rounds)


def _online(link: SuperLink) -> int:
    """How many sites are connected; -1 where the SuperLink does not answer yet."""
    try:
        return len(link.online())
    except NoAnswer:
        return -1


def _wait(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + _LONGEST_S
    while not happened():
        if time.monotonic() > end:
            raise RuntimeError(f"not up within {_LONGEST_S:.0f} s")
        time.sleep(_POLL_S)


def _figures(path: Path, rounds: int) -> Figures:
    """From the moments at which `path` gets its lines, one a round, and what all our processes have used until then."""
    used: dict[int, float] = {}
    ends: list[tuple[float, float]] = []
    began = time.monotonic()
    while len(ends) < rounds:
        if time.monotonic() - began > _LONGEST_S:
            raise RuntimeError(f"{len(ends)} of {rounds} rounds within {_LONGEST_S:.0f} s")
        used |= cpu_seconds(psutil.Process())
        lines = len(path.read_text().splitlines()) if path.exists() else 0
        ends += [(time.monotonic(), sum(used.values()))] * (lines - len(ends))
        time.sleep(_POLL_S)
    each = [(end - begin, after - before) for (begin, before), (end, after) in pairwise(ends)]
    seconds, cpu = (median(values) for values in zip(*each, strict=True))
    return {"seconds": round(seconds, 2), "cpu_s": round(cpu, 2)}


if __name__ == "__main__":
    measure(*map(int, sys.argv[1:]))
