"""The experiments among `bloodnet-simulate`'s commands: compare, ablate, poison, triage-benefit."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from simulation.cli_options import (
    AsJson,
    ConfigFile,
    DataFolder,
    Datasets,
    LocalEpochs,
    PresetName,
    Rounds,
    Sites,
    Studies,
    Workers,
    stderr,
)

app = typer.Typer()

ComparedStudies = Annotated[int | None, typer.Option(help="Synthetic studies a hospital; 220 unless given.")]
TrainingsSeed = Annotated[int | None, typer.Option(min=0, help="Seed of the data, and of all trainings.")]

COMPARED_STUDIES = 220
"""Synthetic studies a hospital where ways of training are compared: differences need more patients than an AUC."""

POISONED_SITES = 5
"""Synthetic hospitals where some poison: the fewest among which Krum knows one of them."""


@app.command()
def compare(
    strategies: Annotated[
        str | None, typer.Option(help="With commas between; the first is the reference; fedavg,fedprox unless given.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="Of a strategy, as STRATEGY.NAME=VALUE; again for another.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Trainings of each way; 5 unless given.")] = None,
    dataset: Datasets = None,
    data: DataFolder = None,
    sites: Sites = None,
    studies: ComparedStudies = None,
    rounds: Rounds = None,
    local_epochs: LocalEpochs = None,
    preset: PresetName = None,
    seed: TrainingsSeed = None,
    config: ConfigFile = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder, runs/comparison-DATE-TIME unless given; what was stopped goes on.")
    ] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Was it worth federating? Strategies, one place, and every hospital alone: same patients, same budget."""
    from simulation.comparison.console import print_comparison
    from simulation.comparison.page import REPORT
    from simulation.comparison.run import compare, comparison_settings
    from simulation.engines.workers import default_workers
    from simulation.settings import parameters_by_strategy, read_config, sources_of, with_flags

    flags = {
        "comparison.strategies": tuple(strategies.split(",")) if strategies else None,
        **parameters_by_strategy(parameter or ()),
        "comparison.seeds": seeds,
        "data.sources": sources_of(dataset or (), data),
        "data.sites": sites,
        "data.studies": studies or (None if config else COMPARED_STUDIES),
        "rounds": rounds,
        "local_epochs": local_epochs,
        "model.preset": preset,
        "seed": seed,
    }
    settings = comparison_settings(with_flags(read_config(config) if config else {}, flags))
    folder = out or Path("runs") / f"comparison-{datetime.now():%Y-%m-%d-%H%M%S}"
    found = compare(settings, folder, workers or default_workers(), stderr())
    if as_json:
        print(json.dumps({"folder": str(folder), **found}))
    else:
        print_comparison(found, folder / REPORT)


@app.command()
def ablate(
    links: Annotated[
        str | None,
        typer.Option(help="Arms with commas between, dependent among them; all unless given."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Trainings of each arm; 5 unless given.")] = None,
    dataset: Datasets = None,
    data: DataFolder = None,
    sites: Sites = None,
    studies: ComparedStudies = None,
    preset: PresetName = None,
    most_steps: Annotated[
        int | None, typer.Option(min=1, help="Patience: steps after which an arm ends without a plateau.")
    ] = None,
    seed: TrainingsSeed = None,
    config: ConfigFile = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder, runs/ablation-DATE-TIME unless given; what was stopped goes on.")
    ] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Does classification gain from its dependence on segmentation? All arms trained alike, and a rule's verdict."""
    from simulation.ablation.console import print_ablation
    from simulation.ablation.page import REPORT
    from simulation.ablation.run import ablate, ablation_settings
    from simulation.engines.workers import default_workers
    from simulation.settings import read_config, sources_of, with_flags

    flags = {
        "ablation.links": tuple(links.split(",")) if links else None,
        "ablation.seeds": seeds,
        "ablation.plateau.maximum_steps": most_steps,
        "data.sources": sources_of(dataset or (), data),
        "data.sites": sites,
        "data.studies": studies or (None if config else COMPARED_STUDIES),
        "model.preset": preset,
        "seed": seed,
    }
    settings = ablation_settings(with_flags(read_config(config) if config else {}, flags))
    folder = out or Path("runs") / f"ablation-{datetime.now():%Y-%m-%d-%H%M%S}"
    found = ablate(settings, folder, workers or default_workers(), stderr())
    if as_json:
        print(json.dumps({"folder": str(folder), **found}))
    else:
        print_ablation(found, folder / REPORT)


@app.command()
def poison(
    poisoners: Annotated[
        str | None, typer.Option(help="How many sites send flipped updates, with commas between; 0,1,2 unless given.")
    ] = None,
    strategies: Annotated[
        str | None,
        typer.Option(
            help="With commas between, the first is the reference; "
            "fedavg,median,trimmed-mean,krum,multi-krum unless given."
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Trainings of each; 3 unless given.")] = None,
    dataset: Datasets = None,
    data: DataFolder = None,
    sites: Sites = None,
    studies: Studies = None,
    rounds: Rounds = None,
    local_epochs: LocalEpochs = None,
    preset: PresetName = None,
    seed: TrainingsSeed = None,
    config: ConfigFile = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder, runs/poisoners-DATE-TIME unless given; what was stopped goes on.")
    ] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """What is left of the model when hospitals send updates with the sign turned round? By strategy, of five."""
    from simulation.engines.workers import default_workers
    from simulation.poisoners.console import print_poisoning
    from simulation.poisoners.run import numbers_of, poison, poisoning_settings
    from simulation.settings import read_config, sources_of, with_flags

    flags = {
        "poisoning.poisoners": numbers_of(poisoners) if poisoners else None,
        "poisoning.strategies": tuple(strategies.split(",")) if strategies else None,
        "poisoning.seeds": seeds,
        "data.sources": sources_of(dataset or (), data),
        "data.sites": sites or (None if config or dataset else POISONED_SITES),
        "data.studies": studies,
        "rounds": rounds,
        "local_epochs": local_epochs,
        "model.preset": preset,
        "seed": seed,
    }
    settings = poisoning_settings(with_flags(read_config(config) if config else {}, flags))
    folder = out or Path("runs") / f"poisoners-{datetime.now():%Y-%m-%d-%H%M%S}"
    found = poison(settings, folder, workers or default_workers(), stderr())
    if as_json:
        print(json.dumps({"folder": str(folder), **found}))
    else:
        print_poisoning(found, folder)


@app.command("triage-benefit")
def triage_benefit(
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="Folder of a run, whose test patients give the ROC.")
    ] = None,
    sensitivity: Annotated[float | None, typer.Option(help="Of a flag, where no run is at hand.")] = None,
    specificity: Annotated[float | None, typer.Option(help="Of that flag.")] = None,
    sensitivity_target: Annotated[
        float | None, typer.Option(help="Where on the run's ROC a study is flagged; 0.9 unless given.")
    ] = None,
    arrivals_per_hour: Annotated[float | None, typer.Option(help="Head CTs that arrive; 3 unless given.")] = None,
    reading_minutes: Annotated[float | None, typer.Option(help="Mean of a reading; 16 unless given.")] = None,
    reading_sd_minutes: Annotated[
        float | None, typer.Option(help="Standard deviation of a reading; 8 unless given.")
    ] = None,
    radiologists: Annotated[int | None, typer.Option(help="Who read at a time; 1 unless given.")] = None,
    prevalence: Annotated[float | None, typer.Option(help="Share of studies with ICH; 0.16 unless given.")] = None,
    scoring_seconds: Annotated[
        float | None, typer.Option(help="From arrival until the score is there; 60 unless given.")
    ] = None,
    days: Annotated[float | None, typer.Option(help="Days that count; 30 unless given.")] = None,
    warm_up_days: Annotated[
        float | None, typer.Option(help="Days before and after that do not count; by the load unless given.")
    ] = None,
    replications: Annotated[int | None, typer.Option(help="How often all is simulated; 30 unless given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything; 0 unless given.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the page and the picture.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """How many minutes sooner a study with hemorrhage is read when the worklist follows the scores, and who pays."""
    from rich.console import Console

    from bloodnet_model.commands import bars
    from bloodnet_model.files import make_folder
    from simulation.triage_benefit.benefit import simulate_benefit
    from simulation.triage_benefit.classifier import classifier_of
    from simulation.triage_benefit.console import print_benefit
    from simulation.triage_benefit.outputs import to_json, write_outputs
    from simulation.triage_benefit.settings import benefit_settings

    settings = benefit_settings(
        {
            "arrivals_per_hour": arrivals_per_hour,
            "reading_minutes": reading_minutes,
            "reading_sd_minutes": reading_sd_minutes,
            "radiologists": radiologists,
            "prevalence": prevalence,
            "scoring_seconds": scoring_seconds,
            "days": days,
            "warm_up_days": warm_up_days,
            "replications": replications,
            "seed": seed,
        }
    )
    classifier = classifier_of(run_folder, sensitivity_target, sensitivity, specificity)
    make_folder(out)
    with bars(stderr()) as on_progress:
        benefit = simulate_benefit(
            settings, classifier, lambda done: on_progress("simulating", done, settings.replications)
        )
    paths = write_outputs(benefit, out)
    if as_json:
        print(json.dumps({"files": [str(path) for path in paths], **to_json(benefit)}))
        return
    print_benefit(benefit, Console())
    for path in paths:
        Console().print(f"{path.suffix[1:]:<8} {path}", highlight=False, soft_wrap=True)
