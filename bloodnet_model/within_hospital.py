"""What a typical hospital's own AUC is: the hospitals' AUCs combined by random effects on the logit scale.

It is another quantity than the pooled AUC. Pooling also compares a patient of one hospital with one of another, so a
network whose scores lie higher at one hospital loses there; within hospitals it does not.

DerSimonian and Laird (Control. Clin. Trials 1986) for the variance between hospitals; the interval is that of Hartung
and Knapp (Stat. Med. 2001) and Sidik and Jonkman (Stat. Med. 2002), never narrower than with known variances (Röver,
Knapp and Friede, BMC Med. Res. Methodol. 2015).
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import UndefinedMetric
from bloodnet_model.score_histogram import ScoreHistogram

_FEWEST: Final = 2


def within_hospital(hospitals: Mapping[str, ScoreHistogram], level: float = 0.95) -> dict[str, Any]:
    """The fields of `run_metrics.WithinHospital`, fit for JSON; `hospitals` counts those that could be used.

    A hospital whose AUC or DeLong variance is undefined, or whose classes are perfectly separated, is left out; with
    fewer than two others there is no figure, and `undefined` says why. `tau` is on the logit scale.
    """
    effects = list(_effects(hospitals.values()))
    record: dict[str, Any] = dict.fromkeys(("auc", "auc_low", "auc_high", "tau", "undefined"))
    record["hospitals"] = len(effects)
    if len(effects) < _FEWEST:
        reason = f"{len(effects)} of {len(hospitals)} hospitals have an AUC with an interval, and it takes {_FEWEST}."
        return record | {"undefined": f"the AUC of a typical hospital is undefined: {reason}"}
    logits, variances = np.array(effects).T
    tau_squared = between_variance(logits, variances)
    weights = 1 / (variances + tau_squared)
    mean = float(np.average(logits, weights=weights))
    scatter = float((weights * (logits - mean) ** 2).sum()) / (logits.size - 1)
    reach = _quantile(level, logits.size - 1) * math.sqrt(max(1.0, scatter) / float(weights.sum()))
    aucs = {"auc": _sigmoid(mean), "auc_low": _sigmoid(mean - reach), "auc_high": _sigmoid(mean + reach)}
    return record | aucs | {"tau": math.sqrt(tau_squared)}


def between_variance(effects: NDArray[np.float64], variances: NDArray[np.float64]) -> float:
    """DerSimonian and Laird's variance between hospitals, 0 or more, from effects (k,) and variances (k,) within."""
    weights = 1 / variances
    mean = np.average(effects, weights=weights)
    excess = float((weights * (effects - mean) ** 2).sum()) - (effects.size - 1)
    return max(0.0, excess / float(weights.sum() - (weights**2).sum() / weights.sum()))


def _effects(hospitals: Iterable[ScoreHistogram]) -> Iterable[tuple[float, float]]:
    """Logit of the AUC and its variance, by the delta method, of each hospital that has both."""
    for histogram in hospitals:
        try:
            auc, variance = histogram.auc(), histogram.delong_variance()
        except UndefinedMetric:
            continue
        if variance > 0:
            yield math.log(auc / (1 - auc)), variance / (auc * (1 - auc)) ** 2


def _quantile(level: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
