"""What experiments share: hospitals made once, settings kept beside the results, models tested at the sites."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console

from bloodnet_model.commands import OnProgress
from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from client.store import key_of
from client.tested_site import TestedSite
from server.run_folder import CONFIG
from server.settings import RunSettings
from simulation.federation import named
from simulation.hospitals import hospitals, shares_table
from simulation.paired_comparison import scored_sites
from simulation.placement import PlacedStudy
from simulation.settings import SimulationSettings, read_config, simulation_settings

_HOW_MANY: Final = frozenset({"links", "strategies", "seeds", "poisoners"})


@dataclass(frozen=True)
class Cohort:
    """The hospitals of an experiment. `run` are its settings with the name of the data."""

    run: RunSettings
    folders: tuple[Path, ...]
    placed: Sequence[PlacedStudy]

    def tested(self, models: Mapping[str, Path], workers: int, on_progress: OnProgress) -> list[TestedSite]:
        """Every site's test patients as scored by every model."""
        return scored_sites(
            models,
            self.folders,
            {key_of(at.study.uid): at.study.patient for at in self.placed},
            "test",
            self.run.model.preprocessing,
            workers,
            lambda done: on_progress("testing", done, len(self.folders)),
        )


def gather(settings: SimulationSettings, own: Mapping[str, Any], out: Path, workers: int, console: Console) -> Cohort:
    """Make the hospitals, and keep `config.yaml` in `out`: the run's settings and those of the experiment's `own`.

    A folder that holds the same settings is gone on with, also for more arms or seeds. Raises DataError where it holds
    others, whose models must not mix with these.
    """
    config = {**own, **settings.run.model_dump(mode="json")}
    kept = out / CONFIG
    if kept.is_file() and not goes_on(read_config(kept), config):
        raise DataError(f"{out}: holds a run with other settings; give another folder with --out.")
    make_folder(out)
    write_whole(kept, yaml.safe_dump(config, sort_keys=False))
    folders, placed = hospitals(settings, out, workers, console)
    console.print(shares_table(placed))
    return Cohort(named(settings, placed), tuple(folders), placed)


def goes_on(kept: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether all that a single training depends on is the same; `kept` may be of an older version."""
    own = now.keys() - RunSettings.model_fields.keys()
    run = simulation_settings({key: value for key, value in kept.items() if key not in own}).run
    before = {key: value for key, value in kept.items() if key in own} | run.model_dump(mode="json")
    return _of_one_training(before) == _of_one_training(now)


def _of_one_training(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without how many trainings there are, at the top level of an experiment's own section."""
    return {
        name: {key: value for key, value in section.items() if key not in _HOW_MANY}
        if isinstance(section, Mapping)
        else section
        for name, section in config.items()
    }
