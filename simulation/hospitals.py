"""The virtual hospitals of a run: drawn, found or made of public data, then left as they are or dealt out anew."""

import hashlib
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

from rich.console import Console
from rich.table import Table

from bloodnet_model.commands import bars
from bloodnet_model.errors import BloodNetError, DataError
from bloodnet_model.files import alone, make_folder
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.splits import HELD_OUT, Split
from client.dataset import load_site, prepare
from client.site_settings import Site, read_site
from client.store import key_of
from simulation.catalogue import CataloguedStudy, catalogue
from simulation.deals import DEALINGS, Dealing
from simulation.partition import as_found, find_sites, held_out, place, write_sites
from simulation.phantom import PhantomSettings, write_federation
from simulation.placement import TABLE, PlacedStudy, read_table, refuse_leakage, shares, write_table
from simulation.public_data.registry import DATA_SETS
from simulation.settings import FOLDER, NATURAL, SYNTHETIC, DataSettings, SimulationSettings

_SYNTHETIC_SITES: Final = 4
_PREVALENCE: Final[Mapping[Split, float]] = {"test-random": 0.16, "test-enriched": 0.67}
"""Of synthetic test sets: as in those that BloodNet was published on (arXiv 1907.00148)."""

Hospitals = tuple[list[Path], list[PlacedStudy]]
"""Site folders, and the studies placed there."""


def hospitals(settings: SimulationSettings, out: Path, workers: int, console: Console) -> Hospitals:
    """The hospitals of a run, their table written to `out`; raises DataError for what cannot be, or what leaks."""
    data, grid = settings.data, settings.run.model.preprocessing
    maker = _Maker(out.parent, settings.run.seed, workers, console)
    found = _found(data, maker)
    aside = _held_out(data, maker, len(found))
    if data.partition == NATURAL:
        _require_as_many(data, found, "the data")
        stay, sources = as_found(_readable(found, grid, console)), [read_site(folder) for folder in aside]
        dealt = held_out(_studies(sources, grid, console), aside)
    else:
        stay, sources = [], [read_site(folder) for folder in (*found, *aside)]
        dealt = _dealt(data, settings.run.seed, _studies(sources, grid, console), len(found), aside)
    placed = [*stay, *dealt]
    refuse_leakage(placed)
    written = write_sites(dealt, sources, out / "sites") if dealt else []
    make_folder(out)
    write_table(out / TABLE, placed)
    return [*(found if data.partition == NATURAL else ()), *written], placed


def as_used(placed: Iterable[PlacedStudy], folders: Iterable[Path], grid: PreprocessingSettings) -> list[PlacedStudy]:
    """What the prepared sites made of it: studies with unusable pixels are out, the others in the splits they are in.

    The studies of other sites stay as they were placed: nothing is known of them.
    """
    prepared = [prepare(load_site(folder), grid) for folder in folders]
    splits = {data.site.settings.name: data.splits() for data in prepared}
    return [
        replace(at, split=used[key]) if used else at
        for at in placed
        if (used := splits.get(at.site)) is None or (key := key_of(at.study.uid)) in used
    ]


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
        use = f"[dim]{share['tests']} only:[/] " if share["tests"] else ""
        table.add_row(name, *(f"{number:,}" for number in counts), use + kinds)
    return table


def draw_phantoms(folder: Path, phantom: PhantomSettings, workers: int, console: Console) -> list[Path]:
    """Write a federation of synthetic heads under a progress bar."""
    total, drawn = phantom.hospitals * phantom.studies, count(1)
    with bars(console) as on_progress:
        return write_federation(
            folder, phantom, workers, lambda: on_progress("drawing synthetic heads", next(drawn), total)
        )


@dataclass(frozen=True)
class _Maker:
    """Makes site folders of public data and of synthetic heads, kept in `home`, where a later run finds them."""

    home: Path
    seed: int
    workers: int
    console: Console

    def of_data_set(self, name: str, data: Path) -> list[Path]:
        kept = self.home / "data-sets" / _digest(str(data))
        with bars(self.console) as on_progress:
            return DATA_SETS[name].sites(data, kept, on_progress)

    def of_phantoms(self, data: DataSettings, hospitals: int, **drawn_as: Any) -> list[Path]:
        phantom = PhantomSettings(hospitals, data.studies, data.slices, data.matrix, self.seed, **drawn_as)
        folder = self.home / "phantoms" / _digest(repr(phantom))
        with alone(folder.with_suffix(".lock")):  # another run may be drawing the same
            if folder.exists():
                self.console.print(f"[dim]synthetic heads of an earlier run: {folder}[/]", highlight=False)
                return find_sites(folder)
            return draw_phantoms(folder, phantom, self.workers, self.console)


def _found(data: DataSettings, maker: _Maker) -> list[Path]:
    if not data.sources:
        return maker.of_phantoms(data, data.sites or _SYNTHETIC_SITES)
    folders: list[Path] = []
    for name, at in data.sources.items():
        folders += find_sites(Path(at)) if name == FOLDER else maker.of_data_set(name, Path(at))
    return folders


def _held_out(data: DataSettings, maker: _Maker, found: int) -> dict[Path, Split]:
    """Site folders on which nobody trains, each a test set or a part of one.

    Synthetic ones are numbered after those `found`, which may be synthetic too, so that no name is theirs.
    """
    folders: dict[Path, Split] = {}
    for name, at in data.held_out.items():
        if name == SYNTHETIC:
            for number, (split, prevalence) in enumerate(_PREVALENCE.items(), start=found + 1):
                folders |= dict.fromkeys(maker.of_phantoms(data, 1, first=number, prevalence=prevalence), split)
        else:
            sets = DATA_SETS[name].held_out
            folders |= {folder: sets[folder.name] for folder in maker.of_data_set(name, Path(at))}
    return folders


def _dealt(
    data: DataSettings, seed: int, studies: list[CataloguedStudy], found: int, aside: Mapping[Path, Split]
) -> list[PlacedStudy]:
    """As the partition says; held-out studies of which a table says nothing are held out all the same."""
    names = {folder.name for folder in aside}
    if data.partition in DEALINGS:
        free = [study for study in studies if study.source not in names]
        how = cast(Dealing, data.partition)
        placed = place(free, data.sites or found, how, seed, data.alpha, data.min_studies)
    else:
        placed = read_table(Path(data.partition), studies)
        _require_as_many(data, {at.site for at in placed if at.split not in HELD_OUT}, data.partition)
    known = {at.study.uid for at in placed}
    tests = [study for study in studies if study.source in names and study.uid not in known]
    return [*placed, *held_out(tests, aside)]


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


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
