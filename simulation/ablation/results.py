"""What the trained arms did on the sites' test patients: all that `ablation.json` holds."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from bloodnet_model.errors import DataError
from bloodnet_model.metrics import ScoreHistogram
from client.tested_site import TestedSite
from simulation.ablation.claim import CLAIMED, RULE, verdict
from simulation.ablation.plateau import Curve
from simulation.ablation.trainings import Plan, Training
from simulation.paired_comparison import Comparison, compared, pooled


def results(plan: Plan, curves: Mapping[Training, Curve], sites: Sequence[TestedSite]) -> dict[str, Any]:
    """Arms, comparisons and the rule with its verdict, fit for JSON.

    Raises DataError where the test patients cannot tell two arms apart at all.
    """
    labels = np.concatenate([site.labels for site in sites]) if sites else np.zeros(0)
    for label, words in ((1, "with blood"), (0, "without blood")):
        if (count := int((labels == label).sum())) < 2:
            raise DataError(f"{count} test studies {words}: two arms cannot be compared on them; give more patients.")
    trained, against = _arms(plan, curves, sites), _comparisons(plan, sites)
    says = verdict({link: fmean(arm["auc"] for arm in trained[link]) for link in trained}, against)
    return {
        "test": {"studies": int((labels >= 0).sum()), "positives": int((labels == 1).sum()), "sites": len(sites)},
        "arms": trained,
        "comparisons": {link: comparison.as_record() for link, comparison in against.items()},
        "rule": RULE,
        "verdict": vars(says) if says else None,
    }


def _arms(plan: Plan, curves: Mapping[Training, Curve], sites: Sequence[TestedSite]) -> dict[str, Any]:
    """Of each link: test AUC, steps, plateau and validation curve by seed."""
    found = pooled(sites, [training.name for training in plan.trainings()])
    return {
        link: [_arm(found[of.name], curves[of]) for of in plan.trainings() if of.link == link]
        for link in plan.ablation.links
    }


def _arm(histogram: ScoreHistogram, curve: Curve) -> dict[str, Any]:
    return {
        "auc": histogram.auc(),
        "steps": curve.checks[-1].step,
        "settled": curve.settled,
        "validation": [vars(check) for check in curve.checks],
    }


def _comparisons(plan: Plan, sites: Sequence[TestedSite]) -> dict[str, Comparison]:
    """`dependent` minus each other link."""
    networks: dict[str, list[str]] = {link: [] for link in plan.ablation.links}
    for training in plan.trainings():
        networks[training.link].append(training.name)
    others = [link for link in plan.ablation.links if link != CLAIMED]
    return {link: compared(sites, CLAIMED, link, networks, plan.run_seed) for link in others}
