"""`python -m client.app_starter ADDRESS PID flwr-clientapp`: a process for each message, in a moment.

Flower starts a fresh Python for each message, which imports PyTorch for seconds. Here that is imported once, and each
message gets a fork of this process: its own memory, its own end, and the code of its run's bundle alone.
"""

import gc
import multiprocessing
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Final

_LIBRARIES: Final = (
    "torch",
    "torch._dynamo",  # which the first step of an optimiser would import, in longer than the step takes
    "scipy.ndimage",
    "pydantic",
    "pydicom",
    "safetensors.torch",
    "httpcore",
    "imagecodecs",
    "sqlite3",
    "yaml",
    "threadpoolctl",
)
"""What the app needs at every message, and nothing of the app itself: an approved bundle may bring other code."""
INSTALL: Final = "install_from_fab"
Install = Callable[..., Path]
"""Flower's, of a bundle's bytes; returns the folder that it lies in."""
_OURS: Final = ("client", "strategies", "bloodnet_model", "server", "simulation")


def main() -> None:
    """Start an app for each token that comes on stdin, until there are no more."""
    address, parent = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # by which a node ends what it started: without a word
    from flwr.supernode.runtime import run_clientapp as flower  # takes a while, in which a signal may come

    setattr(flower, INSTALL, once(getattr(flower, INSTALL)))
    for name in _LIBRARIES:
        with suppress(ImportError):
            import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    gc.freeze()  # a fork that looked through all of this for garbage would have to copy it
    process = multiprocessing.get_context("fork").Process
    for token in sys.stdin:
        process(target=flower.run_clientapp, args=(address, token.strip(), True), kwargs={"parent_pid": parent}).start()


def once(install: Install) -> Install:
    """`install`, but of a bundle that is not there yet: Flower unpacks it at every message, and then finds it there."""

    @wraps(install)
    def install_once(bundle: bytes, **others: Any) -> Path:
        from flwr.common.constant import APP_DIR, FAB_HASH_TRUNCATION
        from flwr.supercore.utils import get_flwr_home

        there = f"*.{sha256(bundle).hexdigest()[:FAB_HASH_TRUNCATION]}"
        return next((get_flwr_home() / APP_DIR).glob(there), None) or install(bundle, **others)

    return install_once


if __name__ == "__main__":
    main()
