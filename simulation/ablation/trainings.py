"""Every link of the ablation, trained from the same seeds on the same patients in one place, each to its plateau."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np
from pydantic import Field

from bloodnet_model.files import make_folder, write_whole
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.prediction import dice, predict_study
from bloodnet_model.seeds import derive_seed
from bloodnet_model.settings import Link, ModelSettings, Settings
from bloodnet_model.study import Study
from bloodnet_model.weights import save_network
from client.dataset import load_site, prepare
from simulation.ablation.plateau import Curve, PlateauSettings, train_to_plateau
from simulation.engines.workers import one_thread

LINKS: Final[tuple[Link, ...]] = (
    "dependent",
    "detached",
    "independent",
    "attention",
    "shuffled",
    "single",
    "oracle",
)


class AblationSettings(Settings):
    """Which arms are trained, how often, and for how long."""

    links: tuple[Link, ...] = Field(LINKS, description="arms; `dependent` is what the others are compared with")
    seeds: int = Field(5, ge=1, description="trainings of each arm")
    plateau: PlateauSettings = PlateauSettings()


@dataclass(frozen=True)
class Training:
    """One link from one seed."""

    link: Link
    seed: int

    @property
    def name(self) -> str:
        return f"{self.link}-seed-{self.seed}"


@dataclass(frozen=True)
class Plan:
    """What all trainings share. `run_seed` is that of the data."""

    ablation: AblationSettings
    model: ModelSettings
    run_seed: int
    folders: tuple[Path, ...]
    out: Path

    def trainings(self) -> list[Training]:
        """Seed by seed, so that whatever was finished before a stop is whole comparisons."""
        return [Training(link, seed) for seed in range(self.ablation.seeds) for link in self.ablation.links]

    def model_file(self, training: Training) -> Path:
        return self.out / f"{training.name}.safetensors"

    def curve(self, training: Training) -> Curve | None:
        """How a finished training went; None where there is none yet."""
        file = self._curve_file(training)
        return Curve.from_json(file.read_text(encoding="utf-8")) if file.is_file() else None

    def keep(self, training: Training, network: BloodNet, model: ModelSettings, curve: Curve) -> None:
        """The curve comes last: where it lies, the model is whole."""
        save_network(self.model_file(training), network, model)
        write_whole(self._curve_file(training), curve.to_json())

    def _curve_file(self, training: Training) -> Path:
        return self.out / f"{training.name}.json"


def train_all(plan: Plan, workers: int, on_done: Callable[[Training, Curve, int], None]) -> dict[Training, Curve]:
    """Train what is not there yet, in as many processes of one thread; `on_done` hears how many are finished."""
    make_folder(plan.out)
    curves: dict[Training, Curve] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        running = {pool.submit(_train, plan, training): training for training in plan.trainings()}
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                training = running.pop(future)
                curves[training] = future.result()
                on_done(training, curves[training], len(curves))
    return curves


def validated_on(
    network: BloodNet, sites: Sequence[Sequence[Study]], model: ModelSettings
) -> tuple[float, float | None]:
    """Pooled AUC of any hemorrhage, from summed histograms, and mean Dice of the studies with drawn blood."""
    histogram, overlaps = ScoreHistogram.empty(), list[float]()
    for studies in sites:
        predictions = [predict_study(network, study, model) for study in studies]
        scores = [prediction.probabilities[0] for prediction in predictions]
        histogram += ScoreHistogram.from_scores(scores, [study.study_labels[0] for study in studies])
        pairs = zip(predictions, studies, strict=True)
        overlaps += [value for of, study in pairs if (value := dice(of.mask, study)) is not None]
    return histogram.auc(), fmean(overlaps) if overlaps else None


def _train(plan: Plan, training: Training) -> Curve:
    """In a worker. What an earlier call has finished is taken as it is."""
    known = plan.curve(training)
    if known is not None:
        return known
    seen = plan.model.network.model_copy(update={"link": training.link})
    model = plan.model.model_copy(update={"network": seen})
    sites = [prepare(load_site(folder), model.preprocessing) for folder in plan.folders]
    validation = [site.studies("validation") for site in sites]
    # Neither seed depends on the link: every arm starts from the same weights and sees the same batches.
    weights, batches = (derive_seed(plan.run_seed, "ablation", training.seed, what) for what in ("weights", "batches"))
    network = build_network(model, weights)
    curve = train_to_plateau(
        network,
        [study for site in sites for study in site.studies("train")],
        lambda trained: validated_on(trained, validation, model),
        model,
        plan.ablation.plateau,
        np.random.default_rng(batches),
    )
    plan.keep(training, network, model, curve)
    return curve
