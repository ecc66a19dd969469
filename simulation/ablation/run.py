"""The whole ablation: hospitals, trainings, their test, and what is written down."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bloodnet_model.commands import bars
from bloodnet_model.errors import SettingsError
from bloodnet_model.files import write_whole
from bloodnet_model.settings import validated
from simulation.ablation.claim import CLAIMED
from simulation.ablation.page import write_page
from simulation.ablation.plateau import Curve
from simulation.ablation.results import results
from simulation.ablation.trainings import AblationSettings, Plan, Training, train_all
from simulation.experiment import gather
from simulation.settings import SimulationSettings, simulation_settings

RESULTS: Final = "ablation.json"


@dataclass(frozen=True)
class Ablation:
    """The whole of an ablation's `config.yaml`."""

    ablation: AblationSettings
    simulation: SimulationSettings


def ablation_settings(raw: Mapping[str, Any]) -> Ablation:
    """Validated settings; raises SettingsError with the place of a mistake."""
    rest = {key: value for key, value in raw.items() if key != "ablation"}
    ablation = validated(AblationSettings, raw.get("ablation") or {}, where="ablation")
    if CLAIMED not in ablation.links or len(set(ablation.links)) < max(2, len(ablation.links)):
        raise SettingsError(f"ablation.links: name {CLAIMED} and at least one other link, each once.")
    return Ablation(ablation, simulation_settings(rest))


def ablate(settings: Ablation, out: Path, workers: int, console: Console) -> dict[str, Any]:
    """Train and compare into the folder `out`; one that was stopped goes on where it was. Returns the results."""
    own = {"ablation": settings.ablation.model_dump(mode="json")}
    cohort = gather(settings.simulation, own, out, workers, console)
    run = cohort.run
    plan = Plan(settings.ablation, run.model, run.seed, cohort.folders, out / "models")
    with bars(console) as on_progress:
        on_progress("training", 0, len(plan.trainings()))

        def told(training: Training, curve: Curve, done: int) -> None:
            console.print(_sentence(training, curve), highlight=False)
            on_progress("training", done, len(plan.trainings()))

        curves = train_all(plan, workers, told)
        models = {training.name: plan.model_file(training) for training in plan.trainings()}
        sites = cohort.tested(models, workers, on_progress)
    found = {"schema": 1, "data": run.data["name"], "preset": run.model.preset, **results(plan, curves, sites)}
    write_whole(out / RESULTS, json.dumps(found, indent=1))
    write_page(out, found)
    return found


def _sentence(training: Training, curve: Curve) -> str:
    last = curve.checks[-1]
    how = "plateau" if curve.settled else "[yellow]no plateau[/]"
    dice = "" if last.dice is None else f"  Dice {last.dice:.2f}"
    name = f"{training.link:<12} seed {training.seed}"
    return f"{name}  {last.step:>6,} steps, {how}  validation AUC {last.auc:.3f}{dice}"
