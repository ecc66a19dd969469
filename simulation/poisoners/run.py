"""The whole experiment: hospitals, trainings, their test, and what is written down."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bloodnet_model.errors import SettingsError
from bloodnet_model.files import write_whole
from bloodnet_model.settings import validated
from client.dataset import load_site
from simulation.experiment import gather
from simulation.poisoners.figure import figure_png, figure_svg
from simulation.poisoners.results import results
from simulation.poisoners.trainings import PoisoningSettings, trainings
from simulation.settings import SimulationSettings, simulation_settings
from simulation.trainings import described, train_and_test
from strategies.registry import make_strategy
from strategies.round_strategy import RoundStrategy

NAME: Final = "poisoners"


@dataclass(frozen=True)
class Poisoning:
    """The whole of the experiment's `config.yaml`."""

    poisoning: PoisoningSettings
    simulation: SimulationSettings


def poisoning_settings(raw: Mapping[str, Any]) -> Poisoning:
    """Validated settings; raises SettingsError with the place of a mistake, an unknown strategy among them."""
    rest = {key: value for key, value in raw.items() if key != "poisoning"}
    poisoning = validated(PoisoningSettings, raw.get("poisoning") or {}, where="poisoning")
    for field in ("strategies", "poisoners"):
        values = getattr(poisoning, field)
        if len(set(values)) < len(values):
            raise SettingsError(f"poisoning.{field}: name each once.")
    if 0 not in poisoning.poisoners:
        raise SettingsError("poisoning.poisoners: add 0, with which the others are compared.")
    for name in poisoning.parameters.keys() - set(poisoning.strategies):
        raise SettingsError(f"poisoning.parameters: {name} is not trained; add it to the strategies.")
    for name in poisoning.strategies:
        chosen = poisoning.strategy(name)
        make_strategy(chosen["strategy"], chosen["strategy_parameters"])
    return Poisoning(poisoning, simulation_settings(rest))


def numbers_of(text: str) -> tuple[int, ...]:
    """`0,1,2` as numbers; raises SettingsError where it is something else."""
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise SettingsError(f"--poisoners {text}: write whole numbers with commas between, as in 0,1,2.") from None


def poison(settings: Poisoning, out: Path, workers: int, console: Console) -> dict[str, Any]:
    """Train and test into the folder `out`; one that was stopped goes on where it was. Returns the results."""
    own = {"poisoning": settings.poisoning.model_dump(mode="json")}
    cohort = gather(settings.simulation, own, out, workers, console)
    sites = {load_site(folder).settings.name: folder for folder in cohort.folders}
    _refuse_too_few(settings.poisoning, len(sites))
    those = trainings(settings.poisoning, cohort.run, sites, out / "runs")
    tested = train_and_test(those, cohort, workers, console)
    found = {**described(cohort, settings.poisoning.seeds), **results(those, tested, cohort.run.seed)}
    write_whole(out / f"{NAME}.json", json.dumps(found, indent=1))
    write_whole(out / f"{NAME}.svg", figure_svg(found))
    write_whole(out / f"{NAME}.png", figure_png(found))
    return found


def _refuse_too_few(settings: PoisoningSettings, sites: int) -> None:
    """Raises SettingsError for more poisoners than sites, RoundError for a strategy that needs more sites."""
    if max(settings.poisoners) > sites:
        raise SettingsError(
            f"poisoning.poisoners: {max(settings.poisoners)} are more than the {sites} sites there are."
        )
    for name in settings.strategies:
        chosen = settings.strategy(name)
        strategy = make_strategy(chosen["strategy"], chosen["strategy_parameters"])
        if isinstance(strategy, RoundStrategy):
            strategy.refuse_too_few(sites)
