"""Two models on the same patients, without a patient's score leaving a hospital (`bloodnet_model.paired`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from bloodnet_model.errors import UndefinedMetric
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.paired import PlacementSums, difference
from bloodnet_model.splits import Split
from server.evaluation import PooledEvaluation
from server.exchange import unpacked
from server.federation import Federation
from strategies.evaluation_records import COMPARE, ComparisonRequest, pack_comparison, unpack_placements
from strategies.records import RoundPlan

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class ScoredModel:
    """A model by name, and what the sites counted of it."""

    name: str
    weights: Weights
    evaluation: PooledEvaluation


@dataclass(frozen=True)
class Patients:
    """Whose patients are compared, in words, and the sites they are of."""

    words: str
    sites: frozenset[str]


def compare(
    federation: Federation, plan: RoundPlan, split: Split, first: ScoredModel, second: ScoredModel, patients: Patients
) -> dict[str, Any]:
    """AUC of `first` minus that of `second`, of any hemorrhage, as a PairedRecord of `metrics.json`.

    The sums of the sites' histograms go back to them. A site that does not answer, or holds too few patients of a
    class, is left out, and the others are asked again: the sums are exact only if everyone in them has answered.
    """
    margin = federation.settings.evaluation.non_inferiority_margin
    entry = paired_entry(first.name, second.name, patients.words, margin)
    present = patients.sites & first.evaluation.sites.keys() & second.evaluation.sites.keys()
    while present:
        pooled = _pooled(first, present), _pooled(second, present)
        request = ComparisonRequest(split, (first.weights, second.weights), pooled)
        sums = _answers(federation, plan, request, first.evaluation, present)
        if sums.keys() == present:
            return entry | paired_figures(pooled, sum(sums.values(), start=PlacementSums()), margin)
        present = frozenset(sums)
    return entry


def paired_entry(first: str, second: str, patients: str, margin: float) -> dict[str, Any]:
    """A PairedRecord as it stands where no site can compare."""
    return {
        "first": first,
        "second": second,
        "patients": patients,
        "studies": 0,
        **dict.fromkeys(("auc_first", "auc_second", "delta", "low", "high", "not_inferior")),
        "margin": margin,
        "undefined": "no site could compare the two models.",
    }


def _pooled(model: ScoredModel, sites: Iterable[str]) -> ScoreHistogram:
    histograms = model.evaluation.of_any()
    return sum((histograms[name] for name in sites), start=ScoreHistogram.empty())


def _answers(
    federation: Federation,
    plan: RoundPlan,
    request: ComparisonRequest,
    counted: PooledEvaluation,
    present: frozenset[str],
) -> Mapping[str, PlacementSums]:
    """Sums of the sites whose answer counts as many patients as their histogram did."""
    content, names = pack_comparison(request, plan), federation.sites.names
    messages = [Message(content, node, COMPARE) for node, name in sorted(names.items()) if name in present]
    answers = federation.ask(messages, federation.counted(plan, present), "comparing")
    found, _ = unpacked(answers, unpack_placements)
    histograms = counted.of_any()
    return {
        name: sums
        for name, sums in found.items()
        if (sums.positives.studies, sums.negatives.studies)
        == (histograms[name].positive_count, histograms[name].negative_count)
    }


def paired_figures(pooled: tuple[ScoreHistogram, ScoreHistogram], sums: PlacementSums, margin: float) -> dict[str, Any]:
    """What of a PairedRecord follows from all sites' sums; the reason where one does not exist."""
    found: dict[str, Any] = {"studies": pooled[0].studies}
    try:
        of = difference(sums)
        found |= {"auc_first": pooled[0].auc(), "auc_second": pooled[1].auc(), "delta": of.delta}
        low, high = of.interval()
    except UndefinedMetric as reason:
        return found | {"undefined": str(reason)}
    return found | {"low": low, "high": high, "not_inferior": low > -margin, "undefined": None}
