"""What all contenders train, and nothing else: `python -m benchmarks.peers.bare FOLDER STEPS`."""

import sys
from multiprocessing import get_context
from pathlib import Path

from benchmarks.peers.work import AT_ONCE, CLIENTS, ROUNDS, answer, first_arrays


def train(folder: Path, steps: int) -> None:
    arrays = first_arrays(folder)
    for _ in range(CLIENTS * ROUNDS // AT_ONCE):
        answer(arrays, steps)


if __name__ == "__main__":
    with get_context("spawn").Pool(AT_ONCE) as pool:
        pool.starmap(train, [(Path(sys.argv[1]), int(sys.argv[2]))] * AT_ONCE)
