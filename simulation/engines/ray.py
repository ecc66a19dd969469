"""The `ray` engine: Flower's own simulation, whose workers may lie on several GPUs or machines.

Without a cluster, Ray is started on this machine for the run. `RAY_ADDRESS` names a cluster to use instead; all its
machines need this project and the site folders at the same paths.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from bloodnet_model.errors import BloodNetError, RoundError, SettingsError
from simulation.engines.local import RunConfig, server_context
from simulation.engines.workers import one_thread

_CLUSTER: Final = "RAY_ADDRESS"
_GRACE_S: Final = 20.0
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
    """Drive the ServerApp over Flower's simulation engine; raises the BloodNetError that the ServerApp raises.

    The simulation has a process of its own, for it ends neither its threads nor Ray when it is interrupted.
    """
    spawn = multiprocessing.get_context("spawn")
    mine, its = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_simulate, args=(config, sites, workers, its))
    process.start()
    its.close()
    try:
        error = mine.recv()
        process.join()
    except EOFError:
        raise RoundError("Flower's simulation ended before the run did; it can be resumed, with any engine.") from None
    finally:
        process.terminate()  # if it still runs: this process was interrupted
        process.join(_GRACE_S)
        process.kill()
        process.join()
        mine.close()
    if error is not None:
        raise error


def _simulate(config: RunConfig, sites: Sequence[Path], workers: int, ended: Connection) -> None:
    """Sends the error that the run ended with, or None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(_QUIET)
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    from flwr.simulation import run_simulation

    try:
        run_simulation(_launcher(config), VirtualSites(sites), len(sites), "ray", _resources(workers))
    except BloodNetError as error:
        ended.send(error)
    except SystemExit:  # told to end, which Ray has done by now; the simulation's threads would wait for it
        os._exit(1)
    else:
        ended.send(None)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _launcher(config: RunConfig) -> ServerApp:
    """Flower's simulation gives a ServerApp no settings: this one has them."""
    launcher = ServerApp()

    @launcher.main()
    def main(grid: Grid, _: Context) -> None:
        from server.app import app  # not where a site's worker would import it, too

        app(grid, server_context(config))

    return launcher


def _resources(workers: int) -> dict[str, Any]:
    """A core a worker, and of the GPUs an equal share; of a cluster, all that there is."""
    import torch

    share = min(1.0, torch.cuda.device_count() / workers)
    start = {} if _CLUSTER in os.environ else {"address": "local", "num_cpus": workers}
    silence = {"logging_level": logging.ERROR, "log_to_driver": False}
    return {"init_args": {**start, **silence}, "client_resources": {"num_cpus": 1, "num_gpus": share}}
