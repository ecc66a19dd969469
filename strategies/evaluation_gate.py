"""What a site's counts must pass before they are pooled; a refusal has one of the reasons below."""

import re
from collections.abc import Mapping
from typing import Final

from bloodnet_model.labels import CLASSES
from bloodnet_model.study import GROUP_NAME
from strategies.evaluation_records import SiteEvaluation

EVALUATION_REFUSALS: Final[Mapping[str, str]] = {
    "bad-counts": "a count is negative or no whole number, or sums that no studies can have",
    "other-bins": "scores are counted on other bins than everybody's",
    "stale-answer": "the counts are of another round or split than was asked for",
    "too-many-studies": "a class counts more studies than the site declared at the roll call",
    "counts-do-not-add-up": "subtypes, groups or masks count studies that hemorrhage of any kind does not",
    "bad-group": "a group's name has other letters than a-z, 0-9 and -, or more than 32",
    "too-many-groups": "there are more than 64 groups",
}


def evaluation_refusal(evaluation: SiteEvaluation, number: int, split: str, declared_studies: int) -> str | None:
    """The reason why counts that could be read are refused, a key of `EVALUATION_REFUSALS`, or None."""
    if (evaluation.round, evaluation.split) != (number, split):
        return "stale-answer"
    if max(histogram.studies for histogram in evaluation.histograms.values()) > declared_studies:
        return "too-many-studies"
    if not all(re.fullmatch(GROUP_NAME, name) for name in evaluation.groups):
        return "bad-group"
    return None if _adds_up(evaluation, declared_studies) else "counts-do-not-add-up"


def _adds_up(evaluation: SiteEvaluation, declared_studies: int) -> bool:
    everyone, masks = evaluation.histograms[CLASSES[0]], evaluation.segmentation
    grouped = sum(histogram.positive_count for histogram in evaluation.groups.values())
    others = sum(histogram.negative_count for histogram in evaluation.groups.values())
    return (
        all(histogram.positive_count <= everyone.positive_count for histogram in evaluation.histograms.values())
        and grouped <= everyone.positive_count
        and others <= everyone.negative_count
        and masks.negatives <= everyone.negative_count
        and max(masks.dice_studies, masks.volumes, masks.called + masks.not_called) <= declared_studies
    )
