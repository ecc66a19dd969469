"""The `loopback` engine: a rehearsal of a real federation, all of it on this machine.

A real SuperLink with TLS and SuperNode authentication, a real SuperNode a site with a key of its own, on free ports of
127.0.0.1. Each knows its own site folder alone. Keys, certificates and Flower's own files lie in a temporary folder.
"""

import json
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from flwr.cli.typing import SuperLinkConnection
from rich.console import Console

from bloodnet_model.errors import BloodNetError, RoundError
from bloodnet_model.files import make_folder
from client.app import SITE_FOLDER, SITES_VARIABLE
from client.keys import make_node_key, public_key
from client.site_settings import read_site
from server.app import OUT
from server.certificates import AUTHORITY, SERVER, SERVER_KEY, issue_server_certificate, make_authority
from server.launch import SuperLink, superlink, watch
from simulation.engines.local import RunConfig
from simulation.engines.programs import Programs, programs

HOST: Final = "127.0.0.1"
_START_S: Final = 120.0
_POLL_S: Final = 0.2
ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""As the local engine's workers have, for the same bytes."""
_SUPERNODE: Final = "simulation.engines.supernode"


def run_loopback(config: RunConfig, sites: Sequence[Path], workers: int) -> None:
    """Drive the ServerApp through a SuperLink; every site has processes of its own, whatever `workers` says.

    Raises RoundError, with the text of its error, where the run fails.
    """
    console = Console(stderr=True)
    with TemporaryDirectory(prefix="bloodnet-") as temporary, ExitStack() as block:
        folder, (port, *ports) = Path(temporary).resolve(), free_ports(1 + len(sites))
        started = block.enter_context(programs(folder))
        status = block.enter_context(console.status("starting a SuperLink"))
        link = block.enter_context(superlink(start_superlink(folder / "keys", port, started)))
        _wait_until(lambda: _answers(link), started, "the SuperLink does not answer")
        names = [
            start_supernode(link, site, folder / "keys", (port, own), started)
            for site, own in zip(sites, ports, strict=True)
        ]
        status.update(f"waiting for {len(names)} SuperNodes")
        _wait_until(lambda: link.online() >= set(names), started, "not every SuperNode connects")
        run = link.start(config)
        status.update(f"running over TLS with {len(names)} SuperNodes")
        watch(link, run, Path(str(config[OUT])), int(config["rounds"]), console)


def start_superlink(keys: Path, port: int, started: Programs, *more: str) -> SuperLinkConnection:
    """Start a SuperLink with TLS and SuperNode authentication; its certificates are made in `keys` if need be."""
    if not (keys / AUTHORITY).exists():
        make_folder(keys)
        make_authority(keys, "BloodNet rehearsal")
        issue_server_certificate(keys, [HOST])
    command = ["flower-superlink", "--host", HOST, "--port", str(port), "--enable-supernode-auth"]
    command += ["--ssl-ca-certfile", str(keys / AUTHORITY)]
    command += ["--ssl-certfile", str(keys / SERVER), "--ssl-keyfile", str(keys / SERVER_KEY)]
    started.start("superlink", [*command, "--disable-runtime-dependency-installation", *more])
    return SuperLinkConnection("loopback", f"{HOST}:{port}", str(keys / AUTHORITY))


def start_supernode(link: SuperLink, site: Path, keys: Path, ports: tuple[int, int], started: Programs) -> str:
    """Let a site in by its key, and start its SuperNode; returns the name that it is registered by."""
    name = let_in(link, site, keys)
    run_supernode(name, site, keys, ports, started)
    return name


def let_in(link: SuperLink, site: Path, keys: Path) -> str:
    """Register a site by a key that is made for it; returns the name that it is registered by."""
    name = site.name
    with suppress(BloodNetError):  # whatever is wrong with it, the roll call will say
        name = read_site(site).settings.name
    key = keys / f"{name}.key"
    make_node_key(key)
    link.register(public_key(key), name)
    return name


def run_supernode(name: str, site: Path, keys: Path, ports: tuple[int, int], started: Programs) -> None:
    """Start the SuperNode of a site that is let in; it answers at once, as a hospital's does."""
    command = [f"{HOST}:{ports[1]}", *supernode_command(name, site, keys, ports), "--isolation", "process"]
    started.start(f"supernode-{name}", command, _SUPERNODE, **ONE_THREAD, **{SITES_VARIABLE: ""})


def supernode_command(name: str, site: Path, keys: Path, ports: tuple[int, int]) -> list[str]:
    """Flower's own. ports: the SuperLink's, and the SuperNode's for its processes"""
    key = keys / f"{name}.key"
    command = ["flower-supernode", "--superlink", f"{HOST}:{ports[0]}", "--root-certificates", str(keys / AUTHORITY)]
    command += ["--auth-supernode-private-key", str(key), "--host", HOST, "--port", str(ports[1])]
    return [*command, "--node-config", f"{SITE_FOLDER}={json.dumps(str(site))}"]


def _answers(link: SuperLink) -> bool:
    try:
        link.online()
    except RoundError:
        return False
    return True


def _wait_until(happened: Callable[[], bool], started: Programs, otherwise: str) -> None:
    end = time.monotonic() + _START_S
    while not happened():
        started.require_alive()
        if time.monotonic() > end:
            raise RoundError(f"{otherwise} in {_START_S:.0f} s; try again when the machine is less busy.")
        time.sleep(_POLL_S)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on now; all different, for they are held at the same time."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
