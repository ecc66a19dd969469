"""A federation on this machine: hospitals, the run, and the central run to compare with."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bloodnet_model.errors import DataError
from bloodnet_model.files import write_whole
from server.app import OUT
from server.app import app as server_app
from server.report import render_report
from server.run_folder import check_run_folder, read_metrics, write_metrics
from server.settings import RunSettings, to_run_config
from simulation.engine import LocalGrid, server_context
from simulation.partition import deal_patients, find_sites
from simulation.phantom import PhantomSettings, write_federation
from simulation.settings import DataSettings, SimulationSettings
from strategies.registry import make_strategy

_SYNTHETIC_SITES = 4


def simulate(settings: SimulationSettings, out: Path, workers: int, console: Console) -> dict[str, Any]:
    """Run the whole of `settings` into the folder `out` and return its metrics."""
    check_run_folder(out)
    make_strategy(settings.run.strategy, settings.run.proximal_mu)  # an unknown one is said before any work
    sites = hospitals(settings, out, workers, console)
    run_local(settings.run, sites, out, workers)
    if settings.data.central and len(sites) > 1:
        console.print("[dim]central training on the same patients, to compare[/]")
        run_central(settings.run, sites, out, workers)
    return read_metrics(out)


def hospitals(settings: SimulationSettings, out: Path, workers: int, console: Console) -> list[Path]:
    """The site folders of the run, drawn, found or dealt out as the settings say."""
    data = settings.data
    if data.dataset == "synthetic":
        found = _synthetic(data, settings.run.seed, out.parent / "phantoms", workers, console)
    else:
        found = find_sites(Path(str(data.folder)))
    if data.partition == "iid":
        return deal_patients(found, data.sites or len(found), settings.run.seed, out / "sites")
    if data.sites is not None and data.sites != len(found):
        raise DataError(
            f"{data.folder}: holds {len(found)} site folders, not {data.sites}; "
            "leave --sites out, or mix their patients with --partition iid."
        )
    return found


def run_local(settings: RunSettings, sites: Sequence[Path], out: Path, workers: int) -> None:
    """Drive the ServerApp over the local engine."""
    with LocalGrid(sites, workers) as grid:
        server_app(grid, server_context({**to_run_config(settings), OUT: str(out)}))


def run_central(settings: RunSettings, sites: Sequence[Path], out: Path, workers: int) -> None:
    """All patients at one site, with as many optimiser steps in sequence as one federated site has; then report.

    The central site is a site folder whose members are the others, so its patients and splits are the same.
    """
    folder = out / "baselines" / "central"
    members = [str(site.resolve()) for site in sites]
    (folder / "site").mkdir(parents=True)
    write_whole(
        folder / "site" / "site.yaml", yaml.safe_dump({"name": "central", "members": members, "minimum_cohort": 1})
    )
    epochs = max(1, round(settings.rounds * settings.local_epochs / len(sites)))
    central = settings.model_copy(update={"strategy": "fedavg", "rounds": 1, "local_epochs": epochs})
    run_local(central, [folder / "site"], folder / "run", workers)
    result = read_metrics(folder / "run")
    steps = result["rounds"][0]["sites"]["central"]["steps"]
    metrics = read_metrics(out)
    note = "all patients in one place, as many optimiser steps in sequence as each federated site"
    metrics["baselines"]["central"] = {"test": result["test"], "steps": steps, "note": note}
    write_metrics(out, metrics)
    render_report(out)


def _synthetic(data: DataSettings, seed: int, home: Path, workers: int, console: Console) -> list[Path]:
    """Synthetic hospitals, drawn once for each set of settings and kept beside the runs."""
    phantom = PhantomSettings(
        hospitals=data.sites or _SYNTHETIC_SITES,
        studies=data.studies,
        slices=data.slices,
        matrix=data.matrix,
        seed=seed,
    )
    folder = home / hashlib.sha256(repr(phantom).encode()).hexdigest()[:12]
    if folder.exists():
        console.print(f"[dim]synthetic heads of an earlier run: {folder}[/]", highlight=False)
        return find_sites(folder)
    return draw_phantoms(folder, phantom, workers, console)


def draw_phantoms(folder: Path, phantom: PhantomSettings, workers: int, console: Console) -> list[Path]:
    """Write a federation of synthetic heads under a progress bar."""
    columns = (TextColumn("drawing synthetic heads"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=phantom.hospitals * phantom.studies)
        return write_federation(folder, phantom, workers, lambda: bar.advance(task))
