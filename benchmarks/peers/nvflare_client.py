"""A client of NVFlare's simulator, which runs this file with the number of steps as its argument."""

import sys

import nvflare.client as flare  # type: ignore[import-not-found]

from benchmarks.peers.work import answer


def main(steps: int) -> None:
    flare.init()
    while flare.is_running():
        received = flare.receive()
        trained = answer(list(received.params.values()), steps)
        flare.send(flare.FLModel(params=dict(zip(received.params, trained, strict=True))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
