"""What each strategy's model did on the honest test patients of all sites: all that `poisoners.json` holds."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from bloodnet_model.errors import UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram
from client.tested_site import TestedSite
from server.run_folder import read_metrics
from simulation.paired_comparison import compared, pooled
from simulation.poisoners.trainings import Training


def results(those: Sequence[Training], sites: Sequence[TestedSite], seed: int) -> dict[str, Any]:
    """Of every strategy and number of poisoners the AUC, and its difference from the first strategy's without any."""
    arms: dict[tuple[str, int], list[Training]] = {}
    for training in those:
        arms.setdefault((training.strategy, len(training.poisoners)), []).append(training)
    reference = those[0].strategy
    networks = {_name(*arm): [training.name for training in of] for arm, of in arms.items()}
    return {
        "reference": reference,
        "test": {"studies": sum(int((site.labels >= 0).sum()) for site in sites), "sites": len(sites)},
        "poisoned": {str(of.seed): list(of.poisoners) for of in sorted(those, key=lambda of: len(of.poisoners))},
        "arms": [
            {
                "strategy": strategy,
                "parameters": of[0].settings.strategy_parameters,
                "poisoners": count,
                "auc": _auc(sites, networks[_name(strategy, count)]),
                "minus_reference": _difference(sites, networks, _name(strategy, count), _name(reference, 0), seed),
                "refused_updates": sum(map(_refused, of)),
            }
            for (strategy, count), of in arms.items()
        ],
    }


def _name(strategy: str, poisoners: int) -> str:
    return f"{strategy} with {poisoners}"


def _auc(sites: Sequence[TestedSite], networks: Sequence[str]) -> dict[str, Any]:
    """By seed, their mean, and the mean ends of the seeds' 95 % intervals for new patients; None where undefined."""
    histograms = list(pooled(sites, networks).values())
    try:
        by_seed = [histogram.auc() for histogram in histograms]
    except UndefinedMetric:
        return {"mean": None, "by_seed": [], "interval": None}
    return {"mean": fmean(by_seed), "by_seed": by_seed, "interval": _interval(histograms)}


def _interval(histograms: Sequence[ScoreHistogram]) -> list[float] | None:
    try:
        lows, highs = zip(*(histogram.auc_interval() for histogram in histograms), strict=True)
    except UndefinedMetric:
        return None
    return [fmean(lows), fmean(highs)]


def _difference(
    sites: Sequence[TestedSite], networks: Mapping[str, Sequence[str]], arm: str, reference: str, seed: int
) -> dict[str, Any] | None:
    """Paired, on the same patients and seeds; None for the reference itself and where no AUC exists."""
    if arm == reference:
        return None
    try:
        return compared(sites, arm, reference, networks, seed).as_record()
    except UndefinedMetric:
        return None


def _refused(training: Training) -> int:
    lines = read_metrics(training.folder)["rounds"]
    return sum(entry["status"] == "refused" for line in lines for entry in line["sites"].values())
