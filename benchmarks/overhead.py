"""What federating costs: the rounds of a run, over the same optimiser steps in a bare PyTorch loop."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from bloodnet_model.network import build_network
from bloodnet_model.schedule import Schedule
from bloodnet_model.training import OptimizerState, train_round
from bloodnet_model.weights import flat_weights, set_flat_weights
from client.dataset import load_site, prepare
from server.run_folder import read_metrics
from server.settings import RunSettings
from simulation.engines.registry import LOCAL_ENGINE, run_with
from simulation.hospitals import hospitals
from simulation.settings import simulation_settings
from strategies.aggregation import weighted_sum

_SETTINGS = {"rounds": 4, "local_epochs": 2, "data": {"studies": 40, "central": False}}


def measure() -> dict[str, float]:
    """One worker against one process, so that both have one thread; the bare loop has nothing but the steps."""
    settings = simulation_settings(_SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        console = Console(stderr=True)
        sites, _ = hospitals(settings, out, 2, console)
        bare = _bare_loop(settings.run, sites)
        started = time.perf_counter()
        run_with(LOCAL_ENGINE, settings.run, sites, out, workers=1)
        whole = time.perf_counter() - started
        rounds = read_metrics(out)["rounds"]
        bare = min(bare, _bare_loop(settings.run, sites))
    training = sum(line["seconds"] - line["seconds_evaluate"] for line in rounds)
    figures = {
        "bare_s": round(bare, 2),
        "rounds_training_s": round(training, 2),
        "whole_run_s": round(whole, 2),
        "rounds_over_bare": round(training / bare, 3),
        "whole_over_bare": round(whole / bare, 3),
    }
    print(f"  bare loop {bare:.1f} s; training of the rounds {training:.1f} s: {training / bare:.2f}")
    print(f"  with start of the worker, evaluation and reports {whole:.1f} s: {whole / bare:.2f}")
    return figures


def _bare_loop(settings: RunSettings, sites: list[Path]) -> float:
    """Seconds of the same steps: no messages, no files, no evaluation."""
    torch.set_num_threads(1)
    data = [prepare(load_site(site), settings.model.preprocessing).studies("train") for site in sites]
    network = build_network(settings.model, 0)
    weights = flat_weights(network)
    states: list[OptimizerState | None] = [None] * len(data)
    started = time.perf_counter()
    for number in range(1, settings.rounds + 1):
        schedule = Schedule(number, settings.rounds, settings.local_epochs)
        updates = []
        for i, studies in enumerate(data):
            set_flat_weights(network, weights)
            rng = np.random.default_rng([number, i])
            states[i] = train_round(network, studies, settings.model, schedule, rng, states[i]).optimizer_state
            updates.append(flat_weights(network))
        weights = weighted_sum(updates, [1 / len(updates)] * len(updates)).astype(np.float32)
    return time.perf_counter() - started
