"""A client of NVFlare's simulator, which runs this file with the number of steps as its argument."""

import sys

import nvflare.client as flare  # type: ignore[import-not-found]
import torch

from benchmarks.peers.work import answer


def main(steps: int) -> None:
    flare.init()
    while flare.is_running():
        received = flare.receive()
        trained = answer([tensor.numpy() for tensor in received.params.values()], steps)
        tensors = map(torch.from_numpy, trained)  # the recipe's client drops what is no tensor, with a warning alone
        flare.send(flare.FLModel(params=dict(zip(received.params, tensors, strict=True))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
