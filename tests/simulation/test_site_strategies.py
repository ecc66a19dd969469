"""Strategies that leave something at the sites, through the local engine: the same bytes here and there."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from bloodnet_model.weights import load_network
from simulation.phantom import PhantomSettings, write_federation
from tests.simulation.test_resume import COMMAND, ROOT, killed_at, log_lines, resumed

SITES, ROUNDS = 3, 3
OWN_MODELS = {"fedbn": SITES, "ditto": SITES, "scaffold": 0}
SECOND_ROUND_HALF_DONE = 2 + (SITES + 2) + 1
"""Lines of a journal: run, first weights; a whole round; one update."""


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "hospitals"
    settings = PhantomSettings(hospitals=SITES, studies=12, slices=8, matrix=64, seed=6)
    write_federation(folder, settings, 1, lambda: None)
    return folder


def finished(arguments: list[str], out: Path) -> bytes:
    done = subprocess.run([*COMMAND, *arguments, "--out", str(out)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return (out / "model.safetensors").read_bytes()


def own_models(hospitals: Path, out: Path) -> dict[str, bytes]:
    """What each site keeps of a run for itself."""
    run = json.loads(log_lines(out)[0])["run"]
    name = f".bloodnet/state/{hashlib.sha256(run.encode()).hexdigest()[:16]}/own-model.safetensors"
    paths = sorted(hospitals.glob(f"*/{name}"))
    for path in paths:
        load_network(path)
    return {path.relative_to(hospitals).parts[0]: path.read_bytes() for path in paths}


def scores(out: Path) -> object:
    return json.loads((out / "metrics.json").read_text())["test"]["histograms"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", OWN_MODELS)
def test_workers_and_a_kill_change_no_byte(strategy: str, hospitals: Path, tmp_path: Path) -> None:
    flags = ["--dataset", "folder", "--data", str(hospitals), "--rounds", str(ROUNDS), "--local-epochs", "1"]
    flags += ["--strategy", strategy, "--no-central"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    model = finished([*flags, "--workers", "1"], whole)
    lines = killed_at([*flags, "--out", str(killed)], killed, SECOND_ROUND_HALF_DONE, 0.0)  # of two workers
    assert SECOND_ROUND_HALF_DONE <= lines < len(log_lines(whole))
    assert resumed(killed) == model
    own = own_models(hospitals, whole)
    assert len(own) == len(set(own.values())) == OWN_MODELS[strategy]
    assert model not in own.values()
    assert own_models(hospitals, killed) == own
    assert scores(killed) == scores(whole)
