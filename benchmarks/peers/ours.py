"""Our ServerApp over the local engine, with hospitals of the benchmark: `python -m benchmarks.peers.ours FOLDER STEPS`.

The path is that of a run: roll call, gate, journal, aggregation, run folder, report. No hospital has a study to
validate or to test on, for the peers are not asked to either.
"""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from simulation.engines.workers import get_ready

if TYPE_CHECKING:
    from flwr.app import Message


def respond(message: "Message", node_id: int, folder: str, steps: int) -> "Message":
    """In a worker: what the engine does there, with the benchmark's ClientApp."""
    from benchmarks.site_answers import answered, client_app

    return answered(message, node_id, client_app(steps, tested=0))


def main(folder: Path, steps: int) -> None:
    """Of sites with one study each, for which an epoch is a step."""
    from safetensors.numpy import load_file

    import server.report  # noqa: F401  # as `bloodnet-simulate run` does, too, while the workers start
    from benchmarks.peers.work import AT_ONCE, CLIENTS, ROUNDS, leave
    from benchmarks.tiny_hospitals import NETWORK
    from server.app import OUT
    from server.run_folder import MODEL
    from server.settings import run_settings, to_run_config
    from simulation.engines.local import run_local

    out = folder / "run"
    of_run = {"rounds": ROUNDS, "local_epochs": max(1, steps), "minimum_sites": CLIENTS, "model": NETWORK}
    with patch("simulation.engines.local._answer", partial(respond, steps=steps)):
        run_local({**to_run_config(run_settings(of_run)), OUT: str(out)}, [folder] * CLIENTS, AT_ONCE)
    leave(folder, load_file(out / MODEL).values())


if __name__ == "__main__":
    get_ready()  # as `bloodnet-simulate run` does: the workers' imports go beside those below
    main(Path(sys.argv[1]), int(sys.argv[2]))
