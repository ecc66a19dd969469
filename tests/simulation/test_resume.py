"""A run that is killed at any moment goes on, and ends in the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import DrawHospitals

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-c", "from simulation.cli import main; main()", "run", "--workers", "2"]
ROUNDS, SITES = 3, 3
A_ROUND = 1 + SITES + 2
LINES = 2 + ROUNDS * A_ROUND + 1
"""Of a whole run's journal: run, first weights; each round's plan, updates, weights and end; and that it is done."""

NAMED = {
    "the first weights are kept": 2,
    "a round is planned": 3,
    "one of three updates is accepted": 4,
    "all updates are accepted": 6,
    "a round is aggregated": 7,
    "a round is over": 8,
    "two updates of the last round are accepted": 2 + 2 * A_ROUND + 3,
    "the last round is over": LINES - 1,
    "the run is finished": LINES,
}


@pytest.fixture(scope="module")
def hospitals(draw_hospitals: DrawHospitals, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "hospitals"
    draw_hospitals(folder, SITES)
    return folder


def flags(hospitals: Path) -> list[str]:
    flags = ["--dataset", "folder", "--data", str(hospitals), "--rounds", str(ROUNDS), "--local-epochs", "1"]
    flags += ["--strategy", "fedadam"]  # which has a memory of its own
    return [*flags, "--no-central"]


@pytest.fixture(scope="module")
def undisturbed(hospitals: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("run") / "whole"
    subprocess.run([*COMMAND, *flags(hospitals), "--out", str(out)], cwd=ROOT, check=True, capture_output=True)
    assert len(log_lines(out)) == LINES
    return (out / "model.safetensors").read_bytes()


def log_lines(out: Path) -> list[bytes]:
    """Those of the journal that an undisturbed run has, too, and as often."""
    try:
        lines = (out / "journal" / "log.jsonl").read_bytes().splitlines()
    except OSError:
        return []
    return [line for line in lines if not line.startswith((b'{"event": "reopened"', b'{"event": "called"'))]


def killed_at(arguments: list[str], out: Path, lines: int, delay_s: float) -> int:
    """SIGKILL for the run and its workers, once the journal has so many lines; returns how many it has then."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while len(log_lines(out)) < lines and process.poll() is None:
        time.sleep(0.002)
    time.sleep(delay_s)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return len(log_lines(out))


def resumed(out: Path) -> bytes:
    done = subprocess.run([*COMMAND, "--resume", str(out)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return (out / "model.safetensors").read_bytes()


def assert_nothing_was_lost(out: Path, before: int) -> None:
    events = [json.loads(line) for line in log_lines(out)]
    assert len(events) == max(LINES, before + 1)  # a finished run that is resumed is tested and finished once more
    asked = Counter((event["round"], event["site"]) for event in events if event["event"] == "update")
    assert set(asked.values()) == {1}  # no accepted update was asked for again
    assert [event["round"] for event in events if event["event"] == "round"] == [1, 2, 3]
    assert len((out / "rounds.jsonl").read_text().splitlines()) == ROUNDS
    metrics = json.loads((out / "metrics.json").read_text())
    assert [line["round"] for line in metrics["rounds"]] == [1, 2, 3]
    assert metrics["test"]["pooled"]["any"]["studies"] == 9
    assert metrics["validation"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 1])
def test_killed_at_every_second_named_point(first: int, hospitals: Path, undisturbed: bytes, tmp_path: Path) -> None:
    """One run, killed at one point after the other: what goes on from each gets past another by itself."""
    out, lines = tmp_path / "run", 0
    arguments = [*flags(hospitals), "--out", str(out)]
    for point in list(NAMED.values())[first::2]:
        lines = max(lines, killed_at(arguments, out, point, 0.0))
        assert lines >= point
        arguments = ["--resume", str(out)]
    assert resumed(out) == undisturbed
    assert_nothing_was_lost(out, lines)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_again_and_again_at_random(seed: int, hospitals: Path, undisturbed: bytes, tmp_path: Path) -> None:
    rng, out, lines = np.random.default_rng(seed), tmp_path / "run", 2
    arguments = [*flags(hospitals), "--out", str(out)]
    while lines < LINES:
        lines = min(LINES, lines + int(rng.integers(1, 7)))
        lines = max(lines, killed_at(arguments, out, lines, float(rng.uniform(0, 0.3))))
        arguments = ["--resume", str(out)]
    assert resumed(out) == undisturbed
    assert_nothing_was_lost(out, lines)
