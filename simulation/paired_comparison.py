"""Ways of training against one another on the sites' test patients, from counts and sums that the sites give out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import DataError, UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.prediction import predict_study
from bloodnet_model.reader_study import ReaderDifference, reader_difference
from bloodnet_model.seeds import derive_seed
from bloodnet_model.settings import PreprocessingSettings
from bloodnet_model.splits import Split
from bloodnet_model.weights import load_network
from client.dataset import SiteData, load_site, prepare
from client.state import SiteState
from client.tested_site import TestedSite
from server.journal import Journal
from simulation.engines.workers import one_thread

REPLICATES: Final = 1000
_AT_ONCE: Final = 50  # replicates, so that memory stays bounded

_Task = tuple[Path, Mapping[str, Path], Mapping[str, str], Split, PreprocessingSettings]


@dataclass(frozen=True)
class Comparison:
    """One way of training minus another; `bootstrap` is of patients, for these very trainings."""

    first: str
    second: str
    difference: ReaderDifference
    bootstrap: tuple[float, float]

    @property
    def interval(self) -> tuple[float, float] | None:
        """For new patients and new trainings; None where both rank every patient alike."""
        try:
            return self.difference.interval()
        except UndefinedMetric:
            return None

    def as_record(self) -> dict[str, Any]:
        """Fit for JSON: the difference, and its intervals for new patients and trainings, and for new patients."""
        known = self.interval is not None
        return {
            "first": self.first,
            "second": self.second,
            "delta": self.difference.delta,
            "by_seed": list(self.difference.deltas),
            "interval": self.interval,
            "patients_delong": self.difference.patient_interval() if self.difference.patient_variance else None,
            "patients_bootstrap": list(self.bootstrap),
            "studies": self.difference.studies,
            "studies_to_decide": self.difference.studies_to_decide() if known else None,
        }


def scored_sites(
    models: Mapping[str, Path],
    folders: Sequence[Path],
    patients: Mapping[str, str],
    split: Split,
    grid: PreprocessingSettings,
    workers: int,
    on_site: Callable[[int], None] = lambda done: None,
) -> list[TestedSite]:
    """Every site scores its patients of `split` with every model; one with fewer than its minimum cohort is left out.

    models:   safetensors files by name; all see the studies as prepared on `grid`. A site uses its own model where
              the strategy of the run that one is of leaves it a part
    patients: the patient of each study, by the study's key; a study it does not name is a patient of its own
    """
    tasks = [(folder, models, patients, split, grid) for folder in folders]
    tested = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        for done, site in enumerate(pool.map(_tested, tasks), start=1):
            tested.append(site)
            on_site(done)
    return [site for site in tested if site is not None]


def pooled(sites: Iterable[TestedSite], networks: Iterable[str]) -> dict[str, ScoreHistogram]:
    """Summed histogram of each network."""
    here = list(sites)
    return {name: sum((site.histogram(name) for site in here), start=ScoreHistogram.empty()) for name in networks}


def compared(
    sites: Sequence[TestedSite], first: str, second: str, networks: Mapping[str, Sequence[str]], seed: int
) -> Comparison:
    """`first` minus `second`, ways of training whose networks, one a seed, `networks` names.

    Raises UndefinedMetric with fewer than two studies of a class.
    """
    ours, theirs = networks[first], networks[second]
    everyone = pooled(sites, [*ours, *theirs])
    parts = [site.reader_sums(ours, theirs, everyone) for site in sites]
    difference = reader_difference(sum(parts[1:], start=parts[0]))
    return Comparison(first, second, difference, bootstrap_interval(sites, ours, theirs, seed))


def bootstrap_interval(
    sites: Sequence[TestedSite], first: Sequence[str], second: Sequence[str], seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentiles of the mean difference over patients drawn anew at each site, with replacement.

    A replicate's histograms merge by addition like any others; no score is pooled.
    """
    draws = [np.random.default_rng(derive_seed(seed, "bootstrap", site.name)) for site in sites]
    deltas: list[float] = []
    for _ in range(REPLICATES // _AT_ONCE):
        counts = sum(site.resampled([*first, *second], _AT_ONCE, rng) for site, rng in zip(sites, draws, strict=True))
        aucs = _aucs(np.asarray(counts))
        deltas += (aucs[: len(first)].mean(0) - aucs[len(first) :].mean(0)).tolist()
    tail = (1 - level) / 2
    low, high = np.nanquantile(deltas, [tail, 1 - tail])
    return float(low), float(high)


def _aucs(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """AUC of counts (..., 2, replicates, bins), negatives first: (..., replicates); NaN where a class is missing."""
    negatives, positives = counts[..., 0, :, :], counts[..., 1, :, :]
    wins_doubled = (positives * (2 * (negatives.cumsum(-1) - negatives) + negatives)).sum(-1)
    pairs = positives.sum(-1) * negatives.sum(-1)
    return np.where(pairs, wins_doubled / np.maximum(2 * pairs, 1), np.nan)


def _tested(task: _Task) -> TestedSite | None:
    """In a worker: one site's scores."""
    folder, models, patients, split, grid = task
    data = prepare(load_site(folder), grid)
    studies = data.studies(split)
    if len(studies) < data.site.settings.minimum_cohort:
        return None
    scores = {}
    for name, path in models.items():
        network, settings = load_network(_at_site(path, data))
        scores[name] = np.array([predict_study(network, study, settings).probabilities[0] for study in studies])
    labels = np.array([study.study_labels[0] for study in studies], np.int8)
    _, numbers = np.unique([patients.get(key, key) for key in data.keys(split)], return_inverse=True)
    return TestedSite(data.site.settings.name, labels, numbers.astype(np.int64), scores)


def _at_site(model: Path, data: SiteData) -> Path:
    """A run's model as this site uses it: its own one, where the run's strategy leaves a part of it at the site."""
    try:
        own = SiteState(data.site.cache, Journal.read(model.parent).run).own_model
    except DataError:  # the model of no run
        return model
    return own if own.exists() else model
