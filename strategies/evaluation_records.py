"""The records of evaluation: what a site is asked to score, and the counts and sums that it answers with.

All of it is whole numbers that merge by addition, in any order to the same result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, cast

import numpy as np
from flwr.app import ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from bloodnet_model.errors import DataError, UnusableAnswer
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import BINS, ScoreHistogram
from bloodnet_model.paired import ClassSums, PlacementSums
from bloodnet_model.segmentation_sums import SegmentationSums
from strategies.records import (
    ARRAYS,
    CONFIG,
    EXAMPLES,
    METRICS,
    OK,
    STATUS,
    RoundPlan,
    arrays_of,
    config_of,
    metrics_of,
    pack_plan,
    pack_weights,
    status,
    unpack_weights,
)

COMPARE: Final = "evaluate.compare"
"""Message type that asks a site to score its patients with two models."""

_SPLIT, _THRESHOLD, _ANSWERS, _ROUND = "split", "threshold", "answers", "round"
_OTHER_ARRAYS, _POOLED = "other-arrays", "pooled"
_GROUP, _SEGMENTATION = "group.", "segmentation."
_COUNTS: Final = {
    "positives": "positives",
    "negatives": "negatives",
    "coarse_positives": "coarse-positives",
    "coarse_negatives": "coarse-negatives",
}
MOST_GROUPS: Final = 64


@dataclass(frozen=True)
class SiteEvaluation:
    """A site's answer to an evaluation message.

    round, split: what it answers
    histograms:   scores by class
    groups:       scores of any hemorrhage by scanner or another group that the site declares; it may hold some back
    """

    round: int
    split: str
    histograms: Mapping[str, ScoreHistogram]
    groups: Mapping[str, ScoreHistogram] = field(default_factory=dict)
    segmentation: SegmentationSums = field(default_factory=SegmentationSums)


@dataclass(frozen=True, eq=False)
class ComparisonRequest:
    """Two models, each with the histogram of any hemorrhage of all the sites that are compared."""

    split: str
    weights: tuple[NDArray[np.float32], NDArray[np.float32]]
    pooled: tuple[ScoreHistogram, ScoreHistogram]


def evaluation_config(plan: RoundPlan, split: str, threshold: float | None = None) -> ConfigRecord:
    """`threshold`: from which score on a study is called positive where the masks are asked what they say of it."""
    return pack_plan(plan, **{_SPLIT: split}, **({} if threshold is None else {_THRESHOLD: threshold}))


def requested_split(content: RecordDict) -> str:
    return str(config_of(content)[_SPLIT])


def requested_threshold(content: RecordDict) -> float | None:
    config = config_of(content)
    return float(cast(float, config[_THRESHOLD])) if _THRESHOLD in config else None


def pack_evaluation(evaluation: SiteEvaluation) -> RecordDict:
    metrics: dict[str, Any] = {}
    for name, histogram in evaluation.histograms.items():
        metrics |= _packed(name, histogram)
    for name, histogram in evaluation.groups.items():
        metrics |= _packed(_GROUP + name, histogram)
    metrics |= {_SEGMENTATION + name: value for name, value in asdict(evaluation.segmentation).items()}
    metrics[EXAMPLES] = evaluation.histograms[CLASSES[0]].studies
    answers = ConfigRecord({_ROUND: evaluation.round, _SPLIT: evaluation.split})
    return RecordDict({STATUS: status(OK), _ANSWERS: answers, METRICS: MetricRecord(metrics)})


def unpack_evaluation(content: RecordDict) -> SiteEvaluation:
    """Raises UnusableAnswer, with the reason, for what are no counts on the common bins."""
    metrics, answers = metrics_of(content), config_of(content, _ANSWERS)
    suffix = f".{_COUNTS['positives']}"
    groups = [key[len(_GROUP) : -len(suffix)] for key in metrics if key.startswith(_GROUP) and key.endswith(suffix)]
    if len(groups) > MOST_GROUPS:
        raise UnusableAnswer("too-many-groups")
    return SiteEvaluation(
        round=int(cast(int, answers[_ROUND])),
        split=str(answers[_SPLIT]),
        histograms={name: _unpacked(name, metrics) for name in CLASSES},
        groups={name: _unpacked(_GROUP + name, metrics) for name in groups},
        segmentation=_unpacked_sums(metrics),
    )


def pack_comparison(request: ComparisonRequest, plan: RoundPlan) -> RecordDict:
    pooled: dict[str, Any] = {}
    for name, histogram in zip((ARRAYS, _OTHER_ARRAYS), request.pooled, strict=True):
        pooled |= _packed(name, histogram)
    first, second = map(pack_weights, request.weights)
    return RecordDict(
        {
            ARRAYS: first,
            _OTHER_ARRAYS: second,
            CONFIG: evaluation_config(plan, request.split),
            _POOLED: MetricRecord(pooled),
        }
    )


def unpack_comparison(content: RecordDict) -> ComparisonRequest:
    pooled = metrics_of(content, _POOLED)
    return ComparisonRequest(
        requested_split(content),
        (unpack_weights(arrays_of(content)), unpack_weights(arrays_of(content, _OTHER_ARRAYS))),
        (_unpacked(ARRAYS, pooled), _unpacked(_OTHER_ARRAYS, pooled)),
    )


def pack_placements(sums: PlacementSums) -> RecordDict:
    metrics: dict[str, Any] = {}
    for name, part in (("positives", sums.positives), ("negatives", sums.negatives)):
        metrics[name] = [part.studies, part.sum, part.squares]
    return RecordDict({STATUS: status(OK), METRICS: MetricRecord(metrics)})


def unpack_placements(content: RecordDict) -> PlacementSums:
    """Raises UnusableAnswer for what are no sums of any studies."""
    metrics = metrics_of(content)
    parts = [cast(Sequence[Any], metrics[name]) for name in ("positives", "negatives")]
    if any(len(part) != 3 or not all(isinstance(value, int) for value in part) for part in parts):
        raise UnusableAnswer("bad-counts")
    positives, negatives = (ClassSums(*part) for part in parts)
    for part in (positives, negatives):
        if part.studies < 0 or part.sum**2 > part.studies * part.squares:  # Cauchy and Schwarz
            raise UnusableAnswer("bad-counts")
    return PlacementSums(positives, negatives)


def _packed(name: str, histogram: ScoreHistogram) -> dict[str, list[int]]:
    counts = {f"{name}.{key}": getattr(histogram, field).tolist() for field, key in _COUNTS.items()}
    return {key: values for key, values in counts.items() if "coarse" not in key or any(values)}


def _unpacked(name: str, metrics: Mapping[str, Any]) -> ScoreHistogram:
    try:
        counts = {
            field: np.asarray(metrics[f"{name}.{key}"]) for field, key in _COUNTS.items() if f"{name}.{key}" in metrics
        }
        histogram = ScoreHistogram(**counts)
    except (DataError, TypeError, OverflowError):
        raise UnusableAnswer("bad-counts") from None
    if histogram.bins != BINS:
        raise UnusableAnswer("other-bins")
    return histogram


def _unpacked_sums(metrics: Mapping[str, Any]) -> SegmentationSums:
    values = {of.name: metrics[_SEGMENTATION + of.name] for of in fields(SegmentationSums)}
    if not all(isinstance(value, int) for value in values.values()):
        raise UnusableAnswer("bad-counts")
    try:
        return SegmentationSums(**values)
    except DataError:
        raise UnusableAnswer("bad-counts") from None
