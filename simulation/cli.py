"""`bloodnet-simulate`: many hospitals on one machine. Heavy imports are made inside the commands."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bloodnet_model.commands import run_command
from bloodnet_model.version_option import add_version
from simulation import cli_experiments, cli_reproduce
from simulation.cli_options import (
    STRATEGY_HELP,
    AsJson,
    ConfigFile,
    DataFolder,
    Datasets,
    EngineName,
    LocalEpochs,
    PresetName,
    Rounds,
    Sites,
    Studies,
    Workers,
    stderr,
)

app = typer.Typer(
    help="Federations of virtual hospitals on this machine, reproducible to the byte.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # which fits paragraphs to the terminal
)
add_version(app)
app.add_typer(cli_experiments.app)
app.add_typer(cli_reproduce.app, name="reproduce")


def main() -> None:
    run_command(app)


@app.command()
def run(
    dataset: Datasets = None,
    data: DataFolder = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(help="Test sets nobody trains on, test-random and test-enriched: cq500=DIR or synthetic."),
    ] = None,
    sites: Sites = None,
    partition: Annotated[
        str | None,
        typer.Option(
            help="natural (as found), iid, dirichlet, quantity, label-kind, scanner, or a partition.csv to repeat."
        ),
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Of dirichlet and quantity; smaller is more uneven.")] = None,
    min_studies: Annotated[int | None, typer.Option(help="Fewest studies a site is dealt.")] = None,
    studies: Studies = None,
    strategy: Annotated[str | None, typer.Option(help=STRATEGY_HELP)] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="Of the strategy, as NAME=VALUE; again for another.")
    ] = None,
    proximal_mu: Annotated[float | None, typer.Option(help="The same as --parameter proximal_mu=VALUE.")] = None,
    rounds: Rounds = None,
    local_epochs: LocalEpochs = None,
    local_steps: Annotated[
        int | None, typer.Option(help="At most so many optimiser steps at each site and round; 0 is whole epochs.")
    ] = None,
    participation: Annotated[
        float | None, typer.Option(help="Share of the sites that is drawn for each round's training.")
    ] = None,
    minimum_sites: Annotated[int | None, typer.Option(help="Fewest usable updates for a round to count.")] = None,
    deadline: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Longest wait for the answers of one step of a round.")
    ] = None,
    select_by: Annotated[
        str | None,
        typer.Option(
            help="What makes a round the best, of validation patients: auc, auprc, within-hospital-auc, "
            "mean-class-auc or dice."
        ),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="End after so many rounds without a better one; 0 is never.")
    ] = None,
    final_model: Annotated[str | None, typer.Option(help="Whose model is tested and kept: last or best.")] = None,
    preset: PresetName = None,
    link: Annotated[
        str | None,
        typer.Option(
            help="What the classifier sees of the mask: dependent, detached, independent, "
            "or a control: attention, shuffled, single, oracle."
        ),
    ] = None,
    init_weights: Annotated[
        Path | None, typer.Option(help="Start from a .safetensors file: a ResNet's encoder, or an earlier model.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.")] = None,
    central: Annotated[bool | None, typer.Option("--central/--no-central", help="Also train in one place.")] = None,
    alone: Annotated[
        bool | None, typer.Option("--alone/--no-alone", help="Also train every hospital alone, to compare.")
    ] = None,
    compare_with: Annotated[
        list[str] | None,
        typer.Option(help="Model to compare with on the same patients: FILE.safetensors, first or previous-round."),
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option(help="Log rounds to an MLflow store: sqlite for a file beside the run, or its URI.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder, which was stopped; takes no other settings.")
    ] = None,
    from_round: Annotated[
        int, typer.Option(min=0, help="With --resume: go on after this round, and forget the later ones.")
    ] = 0,
    config: ConfigFile = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.  [default: runs/DATE-TIME]")] = None,
    workers: Workers = None,
    engine: EngineName = "local",
    as_json: AsJson = False,
) -> None:
    """Run a federation and report its pooled AUC. With no options: four synthetic hospitals, about two minutes."""
    from bloodnet_model.errors import SettingsError
    from server.run_folder import CONFIG
    from simulation.settings import (
        held_out_of,
        parameters_of,
        read_config,
        refuse_beside_resume,
        refuse_idle_flags,
        resolved_models,
        simulation_settings,
        sources_of,
        with_flags,
    )

    flags = {
        "data.sources": sources_of(dataset or (), data),
        "data.held_out": held_out_of(held_out or ()),
        "data.sites": sites,
        "data.partition": str(Path(partition).resolve()) if partition and partition.endswith(".csv") else partition,
        "data.alpha": alpha,
        "data.min_studies": min_studies,
        "data.studies": studies,
        "data.central": central,
        "strategy": strategy,
        **parameters_of(parameter or (), proximal_mu),
        "rounds": rounds,
        "local_epochs": local_epochs,
        "local_steps": local_steps,
        "participation": participation,
        "minimum_sites": minimum_sites,
        "deadline_s": deadline,
        "select_by": select_by,
        "patience": patience,
        "final_model": final_model,
        "model.preset": preset,
        "model.network.link": link,
        "init_weights": str(init_weights.resolve()) if init_weights else None,
        "seed": seed,
        "mlflow": mlflow,
        "evaluation.alone": alone,
        "evaluation.compare_with": resolved_models(compare_with) if compare_with else None,
    }
    if from_round and resume is None:
        raise SettingsError(f"--from-round {from_round}: goes with --resume RUN; name the run.")
    if resume is not None:
        config, out = resume / CONFIG, refuse_beside_resume(resume, {**flags, "config": config, "out": out})
    settings = simulation_settings(with_flags(read_config(config) if config else {}, flags))
    refuse_idle_flags(settings.data, {"--alpha": alpha, "--min-studies": min_studies})
    folder = out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S")

    from simulation.engines.workers import default_workers, get_ready

    get_ready()
    from simulation.federation import simulate

    going_on = None if resume is None else from_round
    metrics = simulate(settings, folder, workers or default_workers(), stderr(), going_on, engine)
    if as_json:
        print(json.dumps({"folder": str(folder), **_without_histograms(metrics)}))
    else:
        _print_result(metrics, folder)


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist.")],
    hospitals: Annotated[int, typer.Option(min=1, help="Hospitals, each with its own scanner.")] = 4,
    studies: Annotated[int, typer.Option(min=1, help="Studies a hospital.")] = 24,
    slices: Annotated[int, typer.Option(min=8, help="Slices a study.")] = 24,
    matrix: Annotated[int, typer.Option(min=64, help="Rows and columns of a slice.")] = 256,
    prevalence: Annotated[float, typer.Option(min=0, max=1, help="Share of studies with blood.")] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn.")] = 0,
    workers: Workers = None,
) -> None:
    """Write synthetic head CTs as DICOM series with labels and masks, one site folder a hospital."""
    from simulation.engines.workers import default_workers
    from simulation.hospitals import draw_phantoms
    from simulation.phantom import PhantomSettings

    settings = PhantomSettings(hospitals, studies, slices, matrix, seed, prevalence)
    folders = draw_phantoms(out, settings, workers or default_workers(), stderr())
    print(f"{len(folders)} hospitals with {studies} studies each in {out}")
    print(f"train on them: bloodnet-simulate run --dataset folder --data {out}")


@app.command()
def datasets(as_json: AsJson = False) -> None:
    """List the public data sets: what to download from whom, under which licence, with which labels."""
    from simulation.public_data.registry import DATA_SETS

    if as_json:
        told = [{key: value for key, value in vars(known).items() if key != "sites"} for known in DATA_SETS.values()]
        print(json.dumps(told, indent=1))
        return
    for known in DATA_SETS.values():
        print(f"{known.name}  {known.title}, labels of each {known.labels}\n")
        for name in ("download", "source", "licence", "size"):
            print(f"  {name:<9} {getattr(known, name)}")
        print(f"  run       bloodnet-simulate run --dataset {known.name} --data DIR")
        if known.held_out:
            sets = " and ".join(known.held_out.values())
            print(f"  held out  bloodnet-simulate run --held-out {known.name}=DIR, as {sets}")
        print()
    print("None of them is fetched for you: the licences are between you and who gives the data out.")


def _print_result(metrics: dict[str, Any], folder: Path) -> None:
    from rich.console import Console

    from bloodnet_model.labels import CLASSES
    from server.console import auc_text, paired_sentence, result_table
    from server.run_folder import REPORT

    console = Console()
    console.print(result_table(metrics["test"]))
    for name, baseline in metrics["baselines"].items():
        auc = auc_text(baseline["test"]["pooled"][CLASSES[0]])
        console.print(f"{name} training, same patients, {baseline['steps']} steps: AUC {auc}", highlight=False)
    for entry in metrics["comparisons"]:
        console.print(paired_sentence(entry), highlight=False)
    for name, evaluation in metrics["held_out"].items():
        record = evaluation["pooled"][CLASSES[0]]
        console.print(f"{name}, {_with_blood(record)}: AUC {auc_text(record)}", highlight=False)
    console.print(f"\nrun folder  {folder}\nreport      {folder / REPORT}", highlight=False, soft_wrap=True)


def _with_blood(record: dict[str, Any]) -> str:
    return f"{record['studies']} studies, {record['positives'] / max(1, record['studies']):.0%} with blood"


def _without_histograms(metrics: Any) -> Any:
    if not isinstance(metrics, dict):
        return metrics
    return {key: _without_histograms(value) for key, value in metrics.items() if key != "histograms"}
