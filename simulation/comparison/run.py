"""The whole comparison: hospitals, trainings, their test, and what is written down."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bloodnet_model.errors import DataError, SettingsError
from bloodnet_model.files import write_whole
from bloodnet_model.settings import validated
from client.dataset import load_site
from server.settings import RunSettings
from simulation.comparison.page import write_page
from simulation.comparison.results import results
from simulation.comparison.ways import ComparisonSettings, trainings, ways
from simulation.experiment import gather
from simulation.settings import SimulationSettings, simulation_settings
from simulation.trainings import described, train_and_test
from strategies.registry import make_strategy

RESULTS: Final = "comparison.json"


@dataclass(frozen=True)
class Comparison:
    """The whole of a comparison's `config.yaml`."""

    comparison: ComparisonSettings
    simulation: SimulationSettings


def comparison_settings(raw: Mapping[str, Any]) -> Comparison:
    """Validated settings; raises SettingsError with the place of a mistake, an unknown strategy among them."""
    rest = {key: value for key, value in raw.items() if key != "comparison"}
    comparison = validated(ComparisonSettings, raw.get("comparison") or {}, where="comparison")
    if len(set(comparison.strategies)) < len(comparison.strategies):
        raise SettingsError("comparison.strategies: name each strategy once.")
    for name in comparison.parameters.keys() - set(comparison.strategies):
        raise SettingsError(f"comparison.parameters: {name} is not compared; add it to the strategies.")
    simulation = simulation_settings(rest)
    parameters = _of_the_file(rest, simulation.run, comparison.strategies) | comparison.parameters
    for name in comparison.strategies:
        make_strategy(name, parameters.get(name, {}))
    return Comparison(comparison.model_copy(update={"parameters": parameters}), simulation)


def _of_the_file(
    raw: Mapping[str, Any], run: RunSettings, strategies: Sequence[str]
) -> dict[str, dict[str, float | int | str]]:
    """Parameters that a run's file has for one of the compared strategies; `proximal_mu` in older ones."""
    found = {run.strategy: run.strategy_parameters}
    if "proximal_mu" in raw:
        found["fedprox"] = {"proximal_mu": raw["proximal_mu"]}
    return {name: parameters for name, parameters in found.items() if parameters and name in strategies}


def compare(settings: Comparison, out: Path, workers: int, console: Console) -> dict[str, Any]:
    """Train and compare into the folder `out`; one that was stopped goes on where it was. Returns the results."""
    own = {"comparison": settings.comparison.model_dump(mode="json")}
    cohort = gather(settings.simulation, own, out, workers, console)
    sites = {load_site(folder).settings.name: folder for folder in cohort.folders}
    if len(sites) < 2:
        raise DataError("One hospital alone cannot be compared with a federation; give --sites 2 or more.")
    those = trainings(settings.comparison, ways(settings.comparison, cohort.run, sites, out), out / "runs")
    tested = train_and_test(those, cohort, workers, console)
    found = {**described(cohort, settings.comparison.seeds), **results(those, tested, cohort.run.seed)}
    write_whole(out / RESULTS, json.dumps(found, indent=1))
    write_page(out, found)
    return found
