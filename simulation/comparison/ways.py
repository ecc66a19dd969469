"""The ways of training that are compared, each a federation of its own through the same two Flower apps."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from bloodnet_model.errors import BloodNetError
from bloodnet_model.settings import Settings
from server.run_folder import read_metrics
from server.settings import RunSettings
from simulation.engines.registry import LOCAL_ENGINE, run_with
from simulation.federation import PLAIN, central_site, in_one_place
from simulation.trainings import validation_auc

CENTRAL, CENTRAL_TOTAL, LOCAL = "central", "central-total", "local"

StrategyName = Annotated[str, StringConstraints(strip_whitespace=True)]
"""As `strategies.registry` knows it: `fedavg`, or a Flower strategy as `module:Class`."""


class ComparisonSettings(Settings):
    """What is compared, and how often it is trained."""

    strategies: tuple[StrategyName, ...] = Field(
        ("fedavg", "fedprox"), min_length=1, description="the first is the reference"
    )
    parameters: dict[StrategyName, dict[str, float | int | str]] = Field(
        default_factory=dict, description="of the strategies, by name; their own defaults unless given"
    )
    seeds: int = Field(5, ge=1, description="trainings of each way")

    def strategy(self, name: str) -> dict[str, Any]:
        """Settings of a run with this strategy."""
        return {"strategy": name, "strategy_parameters": self.parameters.get(name, {})}


@dataclass(frozen=True)
class Way:
    """One way of training: `folders` federate under `settings`, whose seed each training replaces.

    site: whose own patients alone are trained on; empty unless it is local training
    """

    name: str
    folders: tuple[Path, ...]
    settings: RunSettings
    site: str = ""


@dataclass(frozen=True)
class Training:
    """One way from one seed, in a run folder of its own."""

    way: Way
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.way.name}-seed-{self.seed}"

    def steps(self) -> int:
        """Optimiser steps of all sites together."""
        entries = [entry for line in read_metrics(self.folder)["rounds"] for entry in line["sites"].values()]
        return sum(entry.get("steps", 0) for entry in entries)

    def is_done(self) -> bool:
        """Whether its run has ended; another strategy's under the same name does not count."""
        try:
            metrics = read_metrics(self.folder)
        except BloodNetError:
            return False
        return metrics["test"] is not None and metrics["run"]["strategy"] == self.way.settings.strategy

    def run(self) -> None:
        """A run like any other."""
        settings = self.way.settings
        seeded = settings.model_copy(update={"seed": settings.seed + self.seed})
        run_with(LOCAL_ENGINE, seeded, self.way.folders, self.folder, workers=1)

    def sentence(self) -> str:
        return f"{self.way.name:<20} seed {self.seed}  {self.steps():>6,} steps  {validation_auc(self.folder)}"


def ways(settings: ComparisonSettings, run: RunSettings, sites: dict[str, Path], out: Path) -> list[Way]:
    """Every way of training at the sites, which `sites` names: federated, in one place, and each alone.

    In one place there are two: with as many optimiser steps in sequence as a site has, and with as many as all sites
    have together. Alone, a site has as many steps in sequence as in the federation.
    """
    folders = tuple(sites.values())
    one_place = (central_site(folders, out / CENTRAL),)
    alone = run.model_copy(update=PLAIN)
    federated = zip(way_names(settings.strategies), settings.strategies, strict=True)
    return [
        *(Way(name, folders, run.model_copy(update=settings.strategy(strategy))) for name, strategy in federated),
        Way(CENTRAL, one_place, in_one_place(run, len(folders))),
        Way(CENTRAL_TOTAL, one_place, in_one_place(run, len(folders), len(folders))),
        *(Way(f"{LOCAL}-{name}", (folder,), alone, site=name) for name, folder in sites.items()),
    ]


def trainings(settings: ComparisonSettings, those: Sequence[Way], out: Path) -> list[Training]:
    """Seed by seed, so that whatever was finished before a stop is whole comparisons."""
    return [Training(way, seed, out / f"{way.name}-seed-{seed}") for seed in range(settings.seeds) for way in those]


def way_names(strategies: Sequence[str]) -> list[str]:
    """`FedMedian` of `flwr.serverapp.strategy:FedMedian`; with its module where another way has that name, too."""
    short = [strategy.rpartition(":")[2] for strategy in strategies]
    taken = Counter([*short, CENTRAL, CENTRAL_TOTAL])
    pairs = zip(short, strategies, strict=True)
    return [name if taken[name] == 1 else strategy.replace(":", ".") for name, strategy in pairs]
