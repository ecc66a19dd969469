"""What is trained: every strategy with every number of poisoners, from several seeds, each a run of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, cast

import numpy as np
from flwr.serverapp import Grid
from pydantic import Field

from bloodnet_model.errors import BloodNetError
from bloodnet_model.seeds import derive_seed
from bloodnet_model.settings import Settings
from server.app import OUT
from server.app import app as server_app
from server.run_folder import read_metrics
from server.settings import RunSettings, to_run_config
from simulation.comparison.ways import StrategyName
from simulation.engines.local import LocalGrid, server_context
from simulation.poisoners.grid import SignFlipped
from simulation.trainings import validation_auc

MULTI_KRUM: Final = "multi-krum"
"""Krum that takes the mean of its best three; `poisoning.parameters` may say otherwise."""


class PoisoningSettings(Settings):
    """What is trained, and how often; `parameters` are of the strategies, by name, their own defaults unless given."""

    strategies: tuple[StrategyName, ...] = Field(("fedavg", "median", "trimmed-mean", "krum", MULTI_KRUM), min_length=1)
    parameters: dict[StrategyName, dict[str, float | int | str]] = Field(default_factory=dict)
    poisoners: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), description="how many sites, 0 among them")
    seeds: int = Field(3, ge=1, description="trainings of each; the poisoners are drawn anew for each seed")

    def strategy(self, name: str) -> dict[str, Any]:
        """Settings of a run with this strategy."""
        given = self.parameters.get(name, {})
        if name == MULTI_KRUM:
            return {"strategy": "krum", "strategy_parameters": {"selected_sites": 3, **given}}
        return {"strategy": name, "strategy_parameters": dict(given)}


@dataclass(frozen=True)
class Training:
    """One strategy with some poisoners among the sites, from one seed; `settings` are those of its run."""

    strategy: str
    poisoners: tuple[str, ...]
    seed: int
    settings: RunSettings
    sites: Mapping[str, Path]
    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    def is_done(self) -> bool:
        """Whether its run has ended."""
        try:
            return read_metrics(self.folder)["test"] is not None
        except BloodNetError:
            return False

    def run(self) -> None:
        """A run like any other, but for what its poisoners send."""
        context = server_context({**to_run_config(self.settings), OUT: str(self.folder)})
        with LocalGrid(list(self.sites.values()), workers=1) as grid:
            nodes = zip(grid.get_node_ids(), self.sites, strict=True)
            poisoned = SignFlipped(grid, [node for node, site in nodes if site in self.poisoners])
            server_app(cast(Grid, poisoned), context)

    def sentence(self) -> str:
        poisoners = f"{len(self.poisoners)} poisoners  seed {self.seed}"
        return f"{self.strategy:<13} {poisoners}  {validation_auc(self.folder)}"


def trainings(settings: PoisoningSettings, run: RunSettings, sites: Mapping[str, Path], out: Path) -> list[Training]:
    """Seed by seed, so that whatever was finished before a stop can be compared."""
    return [
        Training(
            strategy,
            drawn_poisoners(list(sites), count, run.seed + seed),
            seed,
            run.model_copy(update={**settings.strategy(strategy), "seed": run.seed + seed}),
            sites,
            out / f"{strategy.replace(':', '.')}-{count}-poisoners-seed-{seed}",
        )
        for seed in range(settings.seeds)
        for count in settings.poisoners
        for strategy in settings.strategies
    ]


def drawn_poisoners(sites: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
    """Who the poisoners are: with more of them the same, and others besides."""
    order = np.random.default_rng(derive_seed(seed, "poisoners")).permutation(sorted(sites))
    return tuple(sorted(order[:count].tolist()))
