"""The virtual hospitals of a run: drawn, found or made of public data, then left as they are or dealt out anew."""

import hashlib
from collections.abc import Sized
from itertools import count
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from bloodnet_model.commands import bars
from bloodnet_model.errors import BloodNetError, DataError
from bloodnet_model.files import make_folder
from bloodnet_model.settings import PreprocessingSettings
from client.site_settings import Site, read_site
from simulation.catalogue import CataloguedStudy, catalogue
from simulation.deals import DEALINGS, Dealing
from simulation.partition import as_found, find_sites, place, write_sites
from simulation.phantom import PhantomSettings, write_federation
from simulation.placement import TABLE, PlacedStudy, read_table, refuse_leakage, shares, write_table
from simulation.public_data.registry import DATA_SETS
from simulation.settings import FOLDER, NATURAL, DataSettings, SimulationSettings

_SYNTHETIC_SITES = 4

Hospitals = tuple[list[Path], list[PlacedStudy]]
"""Site folders, and the studies placed there."""


def hospitals(settings: SimulationSettings, out: Path, workers: int, console: Console) -> Hospitals:
    """The hospitals of a run, their table written to `out`; raises DataError for what cannot be, or what leaks."""
    data, grid = settings.data, settings.run.model.preprocessing
    if data.sources:
        found = [
            site for name, at in data.sources.items() for site in _site_folders(name, Path(at), out.parent, console)
        ]
    else:
        found = _synthetic(data, settings.run.seed, out.parent / "phantoms", workers, console)
    if data.partition == NATURAL:
        _require_as_many(data, found, "the data")
        sites, placed = found, as_found(_readable(found, grid, console))
        refuse_leakage(placed)
    else:
        sources = [read_site(folder) for folder in found]
        placed = _dealt(data, settings.run.seed, _studies(sources, grid, console), len(found))
        refuse_leakage(placed)
        sites = write_sites(placed, sources, out / "sites")
    make_folder(out)
    write_table(out / TABLE, placed)
    return sites, placed


def shares_table(placed: list[PlacedStudy]) -> Table:
    """Which hospital trains with what."""
    table = Table(title="Virtual hospitals", title_justify="left", title_style="")
    table.add_column("site")
    for name in ("patients", "studies", "with blood"):
        table.add_column(name, justify="right")
    table.add_column("labels of")
    for name, share in shares(placed).items():
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in share["labels"].items())
        counts = (share["patients"], share["studies"], share["findings"]["any kind"])
        table.add_row(name, *(f"{number:,}" for number in counts), kinds)
    return table


def draw_phantoms(folder: Path, phantom: PhantomSettings, workers: int, console: Console) -> list[Path]:
    """Write a federation of synthetic heads under a progress bar."""
    total, drawn = phantom.hospitals * phantom.studies, count(1)
    with bars(console) as on_progress:
        return write_federation(
            folder, phantom, workers, lambda: on_progress("drawing synthetic heads", next(drawn), total)
        )


def _dealt(data: DataSettings, seed: int, studies: list[CataloguedStudy], found: int) -> list[PlacedStudy]:
    if data.partition not in DEALINGS:
        placed = read_table(Path(data.partition), studies)
        _require_as_many(data, {at.site for at in placed}, data.partition)
        return placed
    how = cast(Dealing, data.partition)
    return place(studies, data.sites or found, how, seed, data.alpha, data.min_studies)


def _studies(sources: list[Site], grid: PreprocessingSettings, console: Console) -> list[CataloguedStudy]:
    with bars(console) as on_progress:
        return [study for site in sources for study in catalogue(site, grid, on_progress)]


def _readable(folders: list[Path], grid: PreprocessingSettings, console: Console) -> list[CataloguedStudy]:
    """Studies of the sites that can be read; the others are left to the roll call, which says so."""
    studies: list[CataloguedStudy] = []
    for folder in folders:
        try:
            studies += _studies([read_site(folder)], grid, console)
        except BloodNetError as error:
            console.print(f"[yellow]not in {TABLE}: {error}[/]", highlight=False)
    return studies


def _require_as_many(data: DataSettings, found: Sized, what: str) -> None:
    if data.sites is not None and data.sites != len(found):
        raise DataError(
            f"{what} holds {len(found)} sites, not {data.sites}; "
            "leave --sites out, or mix their patients with --partition iid."
        )


def _site_folders(name: str, data: Path, home: Path, console: Console) -> list[Path]:
    """Those of one source; a public data set's are written beside the runs, where a later run finds them prepared."""
    if name == FOLDER:
        return find_sites(data)
    kept = home / "data-sets" / hashlib.sha256(str(data).encode()).hexdigest()[:12]
    with bars(console) as on_progress:
        return DATA_SETS[name].sites(data, kept, on_progress)


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
