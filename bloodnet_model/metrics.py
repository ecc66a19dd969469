"""What is said of one score histogram: its AUC, average precision and their intervals, in one record.

The counting itself is in `score_bins` and `score_histogram`, whose names can be imported from here as well.
"""

import math
from contextlib import suppress
from typing import Any

from bloodnet_model.errors import UndefinedMetric
from bloodnet_model.precision_recall import average_precision, average_precision_interval
from bloodnet_model.score_bins import BINS, BLOCKS, bin_edges, bin_index, bin_midpoints
from bloodnet_model.score_histogram import ScoreHistogram, normal_quantile

__all__ = [
    "BINS",
    "BLOCKS",
    "ScoreHistogram",
    "bin_edges",
    "bin_index",
    "bin_midpoints",
    "hanley_mcneil_interval",
    "summary",
]


def hanley_mcneil_interval(histogram: ScoreHistogram, level: float = 0.95) -> tuple[float, float]:
    """Hanley and McNeil's interval of the AUC (Radiology 1982), on the plain scale: it is not clipped.

    Its variance needs the AUC and the counts alone, as if scores were exponentially distributed; papers without the
    scores use it. Raises UndefinedMetric where a class is missing or the variance is 0.
    """
    quantile = normal_quantile(level)
    auc, p, n = histogram.auc(), histogram.positive_count, histogram.negative_count
    two_positives, two_negatives = auc / (2 - auc), 2 * auc * auc / (1 + auc)  # Q1 and Q2
    spread = auc * (1 - auc) + (p - 1) * (two_positives - auc**2) + (n - 1) * (two_negatives - auc**2)
    if auc in (0.0, 1.0):
        raise UndefinedMetric("the interval is undefined: the classes are perfectly separated, so the variance is 0.")
    reach = quantile * math.sqrt(spread / (p * n))
    return auc - reach, auc + reach


def summary(histogram: ScoreHistogram) -> dict[str, Any]:
    """One AUC record, fit for JSON: None where a figure does not exist and `undefined` says which and why."""
    record: dict[str, Any] = {"studies": histogram.studies, "positives": histogram.positive_count}
    record |= dict.fromkeys(("auc", "auc_low", "auc_high", "error_bound", "undefined"))
    record |= dict.fromkeys(("auprc", "auprc_low", "auprc_high"))
    try:
        record["auc"], record["error_bound"] = histogram.auc(), histogram.auc_error_bound()
        record["auprc"] = average_precision(histogram)
        record["auc_low"], record["auc_high"] = histogram.auc_interval()
    except UndefinedMetric as reason:
        record["undefined"] = str(reason)
    with suppress(UndefinedMetric):  # where it does not exist, neither does DeLong's, which has said why
        record["auprc_low"], record["auprc_high"] = average_precision_interval(histogram)
    return record
