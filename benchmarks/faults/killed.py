"""Processes that are killed with signal 9."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psutil

from benchmarks.faults.federation import Federation, Hospital
from benchmarks.faults.kinds import Fault, found
from benchmarks.faults.run import Run

_SUPERNODE, _CLIENTAPP = "client.supernode", "flwr-clientapp"
_SERVERAPP, _SUPERLINK = "flwr-serverapp", "flower-superlink"


def _training(site: Hospital) -> psutil.Process:
    """The site's ClientApp of a message that comes now; the last round's may be about to end."""
    now = time.time()
    return found(lambda: [one for one in site.processes(_CLIENTAPP) if one.create_time() > now], "the site is at work")


@contextmanager
def _supernode(federation: Federation, run: Run) -> Iterator[None]:
    site = federation.hospitals[0]
    _training(site)
    found(lambda: site.processes(_SUPERNODE), "its SuperNode is there").kill()
    yield


@contextmanager
def _clientapp(federation: Federation, run: Run) -> Iterator[None]:
    _training(federation.hospitals[0]).kill()
    yield


@contextmanager
def _serverapp(federation: Federation, run: Run) -> Iterator[None]:
    found(lambda: federation.processes(_SERVERAPP), "the ServerApp is there").kill()
    yield


@contextmanager
def _superlink(federation: Federation, run: Run) -> Iterator[None]:
    found(lambda: federation.processes(_SUPERLINK), "the SuperLink is there").kill()
    yield


@contextmanager
def _proxy(federation: Federation, run: Run) -> Iterator[None]:
    found(federation.proxies, "nginx is there").kill()
    yield


@contextmanager
def _everything(federation: Federation, run: Run) -> Iterator[None]:
    """As when the power fails: whoever watches the run is gone, too."""
    run.kill()
    everywhere = [federation.processes(""), *(site.processes("") for site in federation.hospitals)]
    for process in (
        psutil.Process(federation.up.pid),
        *federation.proxies(),
        *(one for some in everywhere for one in some),
    ):
        with suppress(psutil.NoSuchProcess):  # some end with their parents
            process.kill()
    yield


KILLED: Final = (
    Fault("clientapp", "`kill -9` of a ClientApp in the middle of a round", _clientapp),
    Fault("supernode", "`kill -9` of a SuperNode in the middle of a round", _supernode),
    Fault("serverapp", "`kill -9` of the ServerApp", _serverapp),
    Fault("superlink", "`kill -9` of the SuperLink", _superlink),
    Fault("proxy", "`kill -9` of nginx", _proxy),
    Fault("everything", "`kill -9` of every process of the coordinator and of all sites", _everything),
)
