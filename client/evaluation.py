"""What a site says of its patients' scores: counts and sums, made coarse or held back where they are of too few."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.network import BloodNet
from bloodnet_model.paired import PlacementSums, placement_sums
from bloodnet_model.prediction import predict_study
from bloodnet_model.segmentation_sums import SegmentationSums
from bloodnet_model.settings import ModelSettings
from bloodnet_model.splits import Split
from bloodnet_model.study_sums import study_sums
from bloodnet_model.suppression import shown_groups
from client.dataset import SiteData
from strategies.evaluation_records import MOST_GROUPS, ComparisonRequest, SiteEvaluation
from strategies.records import RoundPlan


@dataclass(frozen=True)
class Scored:
    """A site's patients of one split as a network sees them; stays at the site.

    scores, labels: (studies, 6)
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.int8]
    sums: SegmentationSums


def evaluate_at_site(
    data: SiteData, network: BloodNet, plan: RoundPlan, split: Split, threshold: float | None
) -> SiteEvaluation:
    """What of the site's scores of one split may leave it."""
    scored = _scored(data, network, plan.model, split, threshold)
    settings = data.site.settings
    few = settings.minimum_class
    return SiteEvaluation(
        round=plan.round,
        split=split,
        histograms={
            name: released(ScoreHistogram.from_scores(scored.scores[:, j], scored.labels[:, j]), few)
            for j, name in enumerate(CLASSES)
        },
        groups=_groups(data.groups(split), scored, settings.minimum_cohort, few),
        segmentation=released_sums(scored.sums, few),
    )


def compare_at_site(
    data: SiteData, networks: Sequence[BloodNet], model: ModelSettings, request: ComparisonRequest, split: Split
) -> PlacementSums | None:
    """How two models rank this site's patients among everybody's; None where a class has too few of them."""
    few = data.site.settings.minimum_class
    first, second = (_scored(data, network, model, split, None) for network in networks)
    labels = first.labels[:, 0]
    if min(np.count_nonzero(labels == 1), np.count_nonzero(labels == 0)) < few:
        return None
    return placement_sums(first.scores[:, 0], second.scores[:, 0], labels, *request.pooled)


def released(histogram: ScoreHistogram, few: int) -> ScoreHistogram:
    """Coarse where a class has studies, but fewer than `few`, so that no patient's score can be read off."""
    counts = [count for count in (histogram.positive_count, histogram.negative_count) if count]
    return histogram.coarsened() if counts and min(counts) < few else histogram


def released_sums(sums: SegmentationSums, few: int) -> SegmentationSums:
    """Without the sums over fewer than `few` studies."""
    if sums.dice_studies < few:
        sums = replace(sums, dice_millionths=0, dice_studies=0)
    if sums.negatives < few:
        sums = replace(sums, false_positive_ul=0, negatives=0)
    if sums.volumes < few:
        sums = replace(sums, difference_ul=0, difference_squares_ul2=0, volumes=0)
    return sums


def _scored(data: SiteData, network: BloodNet, model: ModelSettings, split: Split, threshold: float | None) -> Scored:
    scores, sums, studies = [], SegmentationSums(), data.studies(split)
    for study in studies:
        prediction = predict_study(network, study, model)
        scores.append(prediction.probabilities)
        sums += study_sums(prediction, study, model.preprocessing.spacing_mm, threshold)
    return Scored(np.array(scores), np.array([study.study_labels for study in studies]), sums)


def _groups(of_study: Sequence[str], scored: Scored, minimum: int, few: int) -> dict[str, ScoreHistogram]:
    """Scores of any hemorrhage by group, without groups so small, or so easily subtracted, that they show a patient.

    Of more groups than an answer may hold, those of most studies.
    """
    names, labels = np.array(of_study), scored.labels[:, 0]
    counts = {str(name): int(((labels >= 0) & (names == name)).sum()) for name in np.unique(names) if name}
    shown = sorted(shown_groups(counts, minimum), key=lambda name: (-counts[name], name))[:MOST_GROUPS]
    here = {name: names == name for name in sorted(shown)}
    return {
        name: released(ScoreHistogram.from_scores(scored.scores[of, 0], labels[of]), few) for name, of in here.items()
    }
