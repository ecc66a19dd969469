"""Updates that lie in files: read by block, combined to the same bytes as in memory, and never all in it."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

from bloodnet_model.errors import WeightsError
from strategies import aggregation, records
from strategies.records import Update
from strategies.registry import STRATEGIES
from strategies.round_strategy import RoundStrategy
from strategies.vectors import StoredVector, stored
from tests.strategies.updates import TWO_NODES, update

PARAMETERS = 50_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("updates")


@pytest.fixture(scope="module")
def in_files(folder: Path) -> list[Update]:
    """64 sites' updates, whose vectors lie in files among others."""
    updates = []
    for site in range(64):
        values = {name: random(2 * site + i) for i, name in enumerate(("weights", "control"))}
        path = folder / f"{site}.safetensors"
        save_file({"earlier": np.ones(3, np.float64), **values, "later": np.ones(2, np.float32)}, path)
        weights, control = stored(path, "weights"), stored(path, "control")
        updates.append(replace(update([]), weights=weights, studies=7 + site, steps=3 + site, control_change=control))
    return updates


def random(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=PARAMETERS).astype(np.float32)


def in_memory(updates: Sequence[Update]) -> list[Update]:
    loaded = [(one.weights[:], one.control_change) for one in updates]
    return [
        replace(one, weights=weights, control_change=None if change is None else change[:])
        for one, (weights, change) in zip(updates, loaded, strict=True)
    ]


def begun(kind: type[RoundStrategy]) -> RoundStrategy:
    strategy = kind()
    strategy.begin(64, slice(1000, 9000))
    strategy.configure_train(1, records.pack_weights(random(999)), ConfigRecord(), TWO_NODES)
    return strategy


def test_a_stored_vector_is_its_values(in_files: list[Update]) -> None:
    weights = in_files[3].weights
    assert isinstance(weights, StoredVector)
    assert (len(weights), weights.shape) == (PARAMETERS, (PARAMETERS,))
    assert weights[:].tobytes() == random(6).tobytes()
    assert weights[:].dtype == np.float32


@given(st.integers(0, PARAMETERS + 9), st.integers(0, PARAMETERS + 9))
def test_any_part_is_that_of_an_array(in_files: list[Update], start: int, stop: int) -> None:
    assert in_files[3].weights[start:stop].tobytes() == random(6)[start:stop].tobytes()


@pytest.mark.parametrize("kind", STRATEGIES.values())
def test_stored_updates_are_combined_to_the_bytes_of_those_in_memory(
    kind: type[RoundStrategy], in_files: list[Update], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregation, "_BLOCK_VALUES", 1 << 12)
    monkeypatch.setattr(aggregation, "_TOGETHER_VALUES", 1 << 15)
    expected, got = begun(kind), begun(kind)
    weights = expected.next_weights(1, in_memory(in_files[:9]))
    assert got.next_weights(1, in_files[:9]).tobytes() == weights.tobytes()
    assert {name: of.tobytes() for name, of in got.state().items()} == {
        name: of.tobytes() for name, of in expected.state().items()
    }


@pytest.mark.parametrize("kind", STRATEGIES.values())
def test_memory_does_not_grow_with_the_sites(
    kind: type[RoundStrategy], in_files: list[Update], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregation, "_BLOCK_VALUES", 1 << 12)
    monkeypatch.setattr(aggregation, "_TOGETHER_VALUES", 1 << 15)
    few, many = (peak_bytes(begun(kind), in_files[:sites]) for sites in (5, 64))
    assert many < 1.05 * few + 64 * 1024  # what a list of 64 updates takes


def peak_bytes(strategy: RoundStrategy, updates: Sequence[Update]) -> int:
    tracemalloc.start()
    try:
        strategy.next_weights(1, updates)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(WeightsError, match=r"x\.safetensors: cannot be read .*ask its site again"):
        stored(path, "weights")
    save_file({"weights": np.ones(9, np.float32), "whole": np.ones(9), "matrix": np.ones((3, 3), np.float32)}, path)
    for name in ("whole", "matrix", "none"):
        with pytest.raises(WeightsError, match=f"no float32 vector '{name}'"):
            stored(path, name)
    content = path.read_bytes()
    for broken in (content[:-1], content[:5], b"", b"\xff" * 8 + content[8:], content.replace(b'"F32"', b'"F33"')):
        path.write_bytes(broken)
        with pytest.raises(WeightsError, match=r"x\.safetensors: cannot be read"):
            stored(path, "weights")


def test_a_file_that_is_gone_or_cut_later_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"weights": np.ones(9, np.float32)}, path)
    weights = stored(path, "weights")
    path.write_bytes(path.read_bytes()[:-4])
    assert weights[:8].tolist() == [1] * 8
    with pytest.raises(WeightsError, match="has become shorter"):
        weights[:]
    path.unlink()
    with pytest.raises(WeightsError, match="No such file"):
        weights[:]
