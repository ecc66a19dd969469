"""A federation on this machine: hospitals, the run, and the central run to compare with."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console

from bloodnet_model.errors import BloodNetError
from bloodnet_model.files import make_folder, write_whole
from bloodnet_model.run_metrics import ALL, FEDERATED
from client.site_settings import read_site
from server.app import earlier_weights, initial_network, possible_strategy
from server.comparisons import paired_entry, paired_figures
from server.report import render_report
from server.run_folder import CONFIG, MODEL, check_run_folder, read_metrics, write_metrics
from server.settings import RunSettings
from simulation.engines.registry import LOCAL_ENGINE, check_engine, run_with
from simulation.hospitals import as_used, hospitals, shares_table
from simulation.paired_comparison import pooled, scored_sites
from simulation.phantom import is_synthetic
from simulation.placement import TABLE, PlacedStudy, shares, write_table
from simulation.settings import SYNTHETIC, SimulationSettings

PLAIN: Final[Mapping[str, Any]] = {
    "strategy": "fedavg",
    "strategy_parameters": {},
    "sites": (),
    "minimum_sites": 1,
    "participation": 1.0,
    "patience": 0,
    "final_model": "last",
}
"""Settings of a run where there is one site, and nothing to combine."""


def simulate(
    settings: SimulationSettings,
    out: Path,
    workers: int,
    console: Console,
    go_on: int | None = None,
    engine: str = LOCAL_ENGINE,
) -> dict[str, Any]:
    """Run the whole of `settings` into the folder `out`; returns its metrics.

    go_on: go on with the run in `out`, after this round, or with 0 from where it stopped
    """
    check_engine(engine)
    possible_strategy(settings.run)  # a mistake is said before any work
    earlier_weights(settings.run)
    if go_on is None:
        check_run_folder(out)
        initial_network(settings.run)  # weights that do not fit are said as early
    sites, placed = hospitals(settings, out, workers, console)
    console.print(shares_table(placed))
    run = named(settings, placed)
    run_with(engine, run, sites, out, workers, go_on)
    took_part = _admitted(sites, out)
    placed = as_used(placed, took_part, run.model.preprocessing)
    write_table(out / TABLE, placed)
    _describe(placed, out)
    trainers = sum(site["counts"]["train-studies"] > 0 for site in read_metrics(out)["sites"].values())
    if settings.data.central and trainers > 1:
        console.print("[dim]central training on the same patients, to compare[/]")
        run_central(run, took_part, trainers, out, workers)
    return read_metrics(out)


def _admitted(folders: Sequence[Path], out: Path) -> list[Path]:
    """Those of `folders` whose site answered the roll call: the others' data is unknown, and in no figure."""
    admitted, names = [], read_metrics(out)["sites"]
    for folder in folders:
        with suppress(BloodNetError):
            if read_site(folder).settings.name in names:
                admitted.append(folder)
    return admitted


def named(settings: SimulationSettings, placed: Sequence[PlacedStudy]) -> RunSettings:
    """The run's settings with the name of its data: one drawn head among them, and the report is on synthetic heads."""
    drawn = not settings.data.sources or any(is_synthetic(at.study.scanner) for at in placed)
    name = SYNTHETIC if drawn else ", ".join(settings.data.sources)
    return settings.run.model_copy(update={"data": {**settings.run.data, "name": name}})


def _describe(placed: Sequence[PlacedStudy], out: Path) -> None:
    """Add to the report what only the simulation knows: who was dealt what."""
    metrics = read_metrics(out)
    metrics["partition"] = shares(placed)
    write_metrics(out, metrics)
    render_report(out)


def run_central(settings: RunSettings, sites: Sequence[Path], trainers: int, out: Path, workers: int) -> None:
    """All patients in one place, with as many optimiser steps in sequence as each of `trainers` sites; report."""
    folder = out / "baselines" / "central"
    go_on = 0 if (folder / "run" / CONFIG).exists() else None
    everyone = [central_site(sites, folder / "site")]
    run_with(LOCAL_ENGINE, in_one_place(settings, trainers), everyone, folder / "run", workers, go_on)
    result = read_metrics(folder / "run")
    steps = result["rounds"][0]["sites"]["central"]["steps"]
    metrics = read_metrics(out)
    note = "all patients in one place, as many optimiser steps in sequence as each federated site"
    tested = {name: result[name] for name in ("test", "held_out")}
    metrics["baselines"]["central"] = {**tested, "steps": steps, "note": note}
    models = {FEDERATED: out / MODEL, "central": folder / "run" / MODEL}
    metrics["comparisons"].append(_compared(settings, models, sites, workers))
    write_metrics(out, metrics)
    render_report(out)


def _compared(settings: RunSettings, models: Mapping[str, Path], sites: Sequence[Path], workers: int) -> dict[str, Any]:
    """Two models on all test patients: a PairedRecord of `metrics.json`."""
    first, second = models
    margin = settings.evaluation.non_inferiority_margin
    entry = paired_entry(first, second, ALL, margin)
    tested = scored_sites(models, sites, {}, "test", settings.model.preprocessing, workers)
    if not tested:
        return entry
    everyone = pooled(tested, models)
    sums = [site.reader_sums([first], [second], everyone).together for site in tested]
    return entry | paired_figures((everyone[first], everyone[second]), sum(sums[1:], start=sums[0]), margin)


def central_site(sites: Sequence[Path], folder: Path) -> Path:
    """A site folder whose members are `sites`, so that its patients and splits are the same; returns `folder`."""
    members = [str(site.resolve()) for site in sites]
    make_folder(folder)
    site = {"name": "central", "members": members, "minimum_cohort": 1, "minimum_class": 1, "groups": "scanner"}
    write_whole(folder / "site.yaml", yaml.safe_dump(site))
    return folder


def in_one_place(settings: RunSettings, trainers: int, times: int = 1) -> RunSettings:
    """Settings of training at one site, without rounds, on all that `trainers` sites hold, for at least one epoch.

    It makes as many optimiser steps in sequence as each of them, or `times` as many.
    """
    epochs = round(times * settings.rounds * settings.local_epochs / trainers)
    steps = times * settings.rounds * settings.local_steps
    return settings.model_copy(update={**PLAIN, "rounds": 1, "local_epochs": max(1, epochs), "local_steps": steps})
