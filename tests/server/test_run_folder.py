"""What a run writes of its rounds, and that it is not all in memory for it."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server.run_folder import ROUNDS, read_metrics, write_metrics, write_rounds


def lines(rounds: int) -> Iterator[dict[str, Any]]:
    return ({"round": number, "validation": list(range(1000))} for number in range(1, rounds + 1))


def test_metrics_are_read_as_they_were_written(tmp_path: Path) -> None:
    for rounds in (0, 1, 3):
        write_metrics(tmp_path, {"schema": 2, "rounds": lines(rounds), "test": {"a": [1]}})
        assert read_metrics(tmp_path) == {"schema": 2, "test": {"a": [1]}, "rounds": list(lines(rounds))}


def test_the_rounds_of_a_long_run_are_never_in_memory_together(tmp_path: Path) -> None:
    """200 of 5 kB each."""
    tracemalloc.start()
    write_rounds(tmp_path, lines(200))
    write_metrics(tmp_path, {"schema": 2, "rounds": lines(200)})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 250_000
    assert [json.loads(line) for line in (tmp_path / ROUNDS).read_text().splitlines()] == list(lines(200))
