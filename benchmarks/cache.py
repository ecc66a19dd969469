"""What reading prepared slices costs: over a plain memory map, and as a share of a training step."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from bloodnet_model.labels import CLASSES
from bloodnet_model.network import build_network
from bloodnet_model.schedule import Schedule
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.study import Study
from bloodnet_model.training import train_round
from client.store import Store, StoreWriter

_STUDIES, _SLICES = 300, 30
_READS = 20_000
_ROUNDS = 5


def measure() -> dict[str, float]:
    """Medians of alternated runs; the page cache is warm, as it is after a first epoch."""
    settings = model_settings("tiny")
    with tempfile.TemporaryDirectory() as folder:
        studies = _stored(Path(folder), settings)
        flat = np.memmap(next(Path(folder).glob("*/windows-*.u8")), np.uint8, "r")
        plain = np.asarray(flat).reshape(-1, *studies[0].windows.shape[1:])
        order = np.random.default_rng(0).integers(len(plain), size=_READS).tolist()
        out = np.empty_like(plain[0])

        def read_plain() -> None:
            for index in order:
                np.copyto(out, plain[index])

        def read_studies() -> None:
            for index in order:
                np.copyto(out, studies[index // _SLICES].windows[index % _SLICES])

        random_read = _ratio(read_studies, read_plain)
        in_memory = [_in_memory(study) for study in studies[:40]]
        stored = studies[:40]
        torch.set_num_threads(1)
        training = _ratio(lambda: _train(stored, settings), lambda: _train(in_memory, settings))
    print(f"  random slice of the store over a plain memory map {random_read:.2f}")
    print(f"  training from the store over training from memory {training:.2f}")
    return {"random_slice_over_memmap": round(random_read, 3), "training_over_memory": round(training, 3)}


def _stored(folder: Path, settings: ModelSettings) -> Sequence[Study]:
    grid, rng = settings.preprocessing, np.random.default_rng(0)
    store = Store(folder, grid)
    with StoreWriter(store) as writer:
        for number in range(_STUDIES):
            windows = rng.integers(0, 255, (_SLICES, len(grid.windows_hu), grid.rows, grid.columns), np.uint8)
            labels = np.full((_SLICES, len(CLASSES)), number % 2, np.int8)
            bits = np.zeros((_SLICES, grid.rows // 2, grid.columns // 2), np.uint8)
            writer.append(str(number), Study(windows, labels[0], labels, bits, np.zeros(_SLICES, bool)))
        writer.settle({str(number): "train" for number in range(_STUDIES)}, "benchmark")
    return store.studies("train")


def _in_memory(study: Study) -> Study:
    return Study(
        np.array(study.windows),
        np.array(study.study_labels),
        np.array(study.slice_labels),
        np.array(study.mask_bits),
        np.array(study.mask_known),
    )


def _train(studies: Sequence[Study], settings: ModelSettings) -> None:
    train_round(build_network(settings, 0), studies, settings, Schedule(1, 1, 1), np.random.default_rng(0), None)


def _ratio(mine: Callable[[], None], yardstick: Callable[[], None]) -> float:
    """Median over pairs of runs, one after the other."""
    ratios = []
    for _ in range(_ROUNDS):
        seconds = []
        for run in (mine, yardstick):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
    return float(np.median(ratios))
