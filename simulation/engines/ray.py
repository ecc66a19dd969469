"""The `ray` engine: Flower's own simulation, whose workers may lie on several GPUs or machines.

Without a cluster, Ray is started on this machine for the run. `RAY_ADDRESS` names a cluster to use instead; all its
machines need this project and the site folders at the same paths.
"""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from bloodnet_model.errors import SettingsError
from server.app import app as server_app
from simulation.engines.local import RunConfig, one_thread, server_context

_CLUSTER: Final = "RAY_ADDRESS"
_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
}


def check_ray() -> None:
    """Raises SettingsError where Ray is not installed."""
    if find_spec("ray") is None:
        raise SettingsError("--engine ray: needs Ray, which is not installed; pip install 'bloodnet-federation[ray]'.")


class VirtualSites(ClientApp):
    """The ClientApp of every node; node i holds the i-th of `folders`. It travels to Ray's workers."""

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__()
        self._folders = [str(folder) for folder in folders]

    def __call__(self, message: Message, context: Context) -> Message:
        from client.app import SITE_FOLDER, app

        one_thread()
        context.node_config[SITE_FOLDER] = self._folders[int(context.node_config["partition-id"])]
        return app(message, context)


def run_ray(config: RunConfig, sites: Sequence[Path], workers: int) -> None:
    """Drive the ServerApp over Flower's simulation engine; raises what the ServerApp raises."""
    with _quiet():
        from flwr.simulation import run_simulation

        stopped = threading.Event()
        try:
            run_simulation(_launcher(config, stopped), VirtualSites(sites), len(sites), "ray", _resources(workers))
        finally:
            stopped.set()


def _launcher(config: RunConfig, stopped: threading.Event) -> ServerApp:
    """Flower's simulation gives a ServerApp no settings: this one has them."""
    launcher = ServerApp()

    @launcher.main()
    def main(grid: Grid, _: Context) -> None:
        server_app(cast(Grid, _Stoppable(grid, stopped)), server_context(config))

    return launcher


class _Stoppable:
    """A grid that ends the thread of the ServerApp once the run is `stopped`: it would wait for its sites else."""

    def __init__(self, grid: Grid, stopped: threading.Event) -> None:
        self._grid, self._stopped = grid, stopped

    def __getattr__(self, name: str) -> object:
        if self._stopped.is_set():
            raise SystemExit
        return getattr(self._grid, name)


def _resources(workers: int) -> dict[str, Any]:
    """A core a worker, and of the GPUs an equal share; of a cluster, all that there is."""
    import torch

    workers = max(1, workers)
    share = min(1.0, torch.cuda.device_count() / workers)
    start = {} if _CLUSTER in os.environ else {"address": "local", "num_cpus": workers}
    silence = {"logging_level": logging.ERROR, "log_to_driver": False}
    return {"init_args": {**start, **silence}, "client_resources": {"num_cpus": 1, "num_gpus": share}}


@contextmanager
def _quiet() -> Iterator[None]:
    """What Ray and Flower say of themselves would break the progress bar, and nobody is to be told of this run."""
    os.environ.update(_QUIET)
    log = logging.getLogger("flwr")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
