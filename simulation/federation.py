"""A federation on this machine: hospitals, the run, and the central run to compare with."""

import hashlib
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

import yaml
from rich.console import Console

from bloodnet_model.commands import bars
from bloodnet_model.errors import BloodNetError, DataError
from bloodnet_model.files import make_folder, write_whole
from client.site_settings import read_site
from server.app import OUT
from server.app import app as server_app
from server.report import render_report
from server.run_folder import check_run_folder, read_metrics, write_metrics
from server.settings import RunSettings, to_run_config
from simulation.catalogue import CataloguedStudy, catalogue
from simulation.deals import PARTITIONS, Partition
from simulation.engine import LocalGrid, server_context
from simulation.partition import as_found, find_sites, place, write_sites
from simulation.phantom import PhantomSettings, write_federation
from simulation.placement import TABLE, read_table, refuse_leakage, write_table
from simulation.public_data.registry import DATA_SETS
from simulation.settings import FOLDER, DataSettings, SimulationSettings
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
    if data.sources:
        found = [site for name, at in data.sources.items() for site in _site_folders(name, Path(at), out.parent)]
    else:
        found = _synthetic(data, settings.run.seed, out.parent / "phantoms", workers, console)
    if data.partition == "natural":
        return _as_found(settings, found, out, console)
    sources = [read_site(folder) for folder in found]
    grid = settings.run.model.preprocessing
    with bars(console) as on_progress:
        studies = [study for site in sources for study in catalogue(site, grid, on_progress)]
    if data.partition in PARTITIONS:
        how = cast(Partition, data.partition)
        placed = place(studies, data.sites or len(found), how, settings.run.seed, data.alpha, data.min_studies)
    else:
        placed = read_table(Path(data.partition), studies)
    refuse_leakage(placed)
    sites = write_sites(placed, sources, out / "sites")
    write_table(out / TABLE, placed)
    return sites


def _as_found(settings: SimulationSettings, found: list[Path], out: Path, console: Console) -> list[Path]:
    """The site folders themselves; one that cannot be read is left to the roll call, which says so."""
    data = settings.data
    if data.sites is not None and data.sites != len(found):
        raise DataError(
            f"the data holds {len(found)} site folders, not {data.sites}; "
            "leave --sites out, or mix their patients with --partition iid."
        )
    studies: list[CataloguedStudy] = []
    with bars(console) as on_progress:
        for folder in found:
            try:
                studies += catalogue(read_site(folder), settings.run.model.preprocessing, on_progress)
            except BloodNetError as error:
                console.print(f"[yellow]not in the partition's table: {error}[/]", highlight=False)
    placed = as_found(studies)
    refuse_leakage(placed)
    make_folder(out)
    write_table(out / TABLE, placed)
    return found


def _site_folders(name: str, data: Path, home: Path) -> list[Path]:
    """Those of one source; a public data set's are written beside the runs, where a later run finds them prepared."""
    if name == FOLDER:
        return find_sites(data)
    return DATA_SETS[name].sites(data, home / "data-sets" / hashlib.sha256(str(data).encode()).hexdigest()[:12])


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
    with bars(console) as on_progress:
        total = phantom.hospitals * phantom.studies
        done = count(1)
        return write_federation(
            folder, phantom, workers, lambda: on_progress("drawing synthetic heads", next(done), total)
        )
