"""What an experiment trains: runs side by side, each in a process and a folder of its own, and all models' test."""

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import Console

from bloodnet_model.commands import bars
from bloodnet_model.files import make_folder
from client.tested_site import TestedSite
from server.run_folder import MODEL, read_metrics
from simulation.experiment import Cohort


class Training(Protocol):
    """One of the runs; it is sent to the process that trains it."""

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> Path: ...

    def is_done(self) -> bool:
        """Whether its run has ended."""
        ...

    def run(self) -> None:
        """Train in this process, with one worker, into a folder that is not there."""
        ...

    def sentence(self) -> str:
        """What came of it, in a line."""
        ...


Kind = TypeVar("Kind", bound=Training)


def train_and_test(those: Sequence[Training], cohort: Cohort, workers: int, console: Console) -> list[TestedSite]:
    """Train what is not there yet; returns every site's test patients as scored by every model, by training's name."""
    with bars(console) as on_progress:
        on_progress("training", 0, len(those))
        for done, training in enumerate(_trained(those, workers), start=1):
            console.print(training.sentence(), highlight=False)
            on_progress("training", done, len(those))
        return cohort.tested({training.name: training.folder / MODEL for training in those}, workers, on_progress)


def validation_auc(run_folder: Path) -> str:
    """Of the last round, in words."""
    auc = read_metrics(run_folder)["rounds"][-1]["validation"]["pooled"]["any"]["auc"]
    return "validation AUC undefined" if auc is None else f"validation AUC {auc:.3f}"


def described(cohort: Cohort, seeds: int) -> dict[str, Any]:
    """What an experiment's results begin with."""
    run = cohort.run
    of_run = {"preset": run.model.preset, "rounds": run.rounds, "local_epochs": run.local_epochs}
    return {"schema": 1, "data": run.data["name"], **of_run, "seeds": seeds}


def _trained(those: Sequence[Kind], workers: int) -> Iterator[Kind]:
    """Each as it is finished."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(_train, training): training for training in those}
        for future in as_completed(running):
            future.result()
            yield running[future]


def _train(training: Training) -> None:
    """A run that was stopped begins anew."""
    if training.is_done():
        return
    shutil.rmtree(training.folder, ignore_errors=True)
    make_folder(training.folder.parent)
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):  # the bars of runs side by side would mix
        training.run()
