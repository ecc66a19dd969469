"""`python -m client.app_starter ADDRESS PID flwr-clientapp`: a process for each message, in a moment.

Flower starts a fresh Python for each message, which imports PyTorch for seconds. Here that is imported once, and each
message gets a fork of this process: its own memory, its own end, and the code of its run's bundle alone.
"""

import gc
import multiprocessing
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Final

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
_OURS: Final = ("client", "strategies", "bloodnet_model", "server", "simulation")


def main() -> None:
    """Start an app for each token that comes on stdin, until there are no more."""
    address, parent = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # by which a node ends what it started: without a word
    from flwr.supernode.runtime.run_clientapp import run_clientapp  # takes a while, in which a signal may come

    for name in _LIBRARIES:
        with suppress(ImportError):
            import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    gc.freeze()  # a fork that looked through all of this for garbage would have to copy it
    process = multiprocessing.get_context("fork").Process
    for token in sys.stdin:
        process(target=run_clientapp, args=(address, token.strip(), True), kwargs={"parent_pid": parent}).start()


if __name__ == "__main__":
    main()
