"""`python -m client.app_starter ADDRESS PID flwr-clientapp`: a process for each message, in a moment.

Flower starts a fresh Python for each message, which imports PyTorch for seconds. Here that is imported once, and each
message gets a fork of this process: its own memory, its own end, and the code of its run's bundle alone.
"""

import os
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
    "safetensors.numpy",
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
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    for token in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
            return run_clientapp(address, token.strip(), insecure=True, parent_pid=parent)


if __name__ == "__main__":
    main()
