"""After the last round: test patients, test sets of their own, and other models on the same patients."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.run_metrics import ALL, FEDERATED
from bloodnet_model.splits import HELD_OUT, Split
from server.alone import compared_with_alone, train_alone
from server.clinical_use import ClinicalUse
from server.comparisons import Patients, ScoredModel, compare
from server.evaluation import PooledEvaluation
from server.rounds import Federation, evaluate, round_plan

Weights = NDArray[np.float32]


def final_evaluation(
    federation: Federation,
    first: Weights,
    last: Weights,
    validation: PooledEvaluation,
    others: Mapping[str, Weights],
) -> Iterator[dict[str, Any]]:
    """Entries of `metrics.json`, one after another as they are found; each takes the sites a while.

    first, last: the weights that the run began with, and those of its last round
    validation:  of the last weights; thresholds and calibration are chosen on it
    others:      weights by the name of the model to compare with
    """
    settings, use = federation.settings, ClinicalUse.chosen_on(validation, federation.settings.evaluation)
    plan = round_plan(settings, federation.run, settings.rounds)

    def tested(split: Split) -> tuple[PooledEvaluation, dict[str, Any]]:
        evaluation = evaluate(federation, last, plan, split, use.threshold)
        return evaluation, evaluation.as_metrics(use.threshold) | use.held_to(evaluation)

    test, record = tested("test")
    yield {"test": record}
    yield {"held_out": {split: tested(split)[1] for split in HELD_OUT if federation.sites.holding(split)}}
    federated = ScoredModel(FEDERATED, last, test)
    comparisons = _with_others(federation, federated, others)
    yield {"comparisons": comparisons}
    if settings.evaluation.alone:
        alone = compared_with_alone(federation, federated, train_alone(federation, first))
        yield alone | {"comparisons": [*comparisons, *alone["comparisons"]]}


def _with_others(federation: Federation, federated: ScoredModel, others: Mapping[str, Weights]) -> list[dict[str, Any]]:
    """Comparisons on all test patients."""
    settings, everyone = federation.settings, Patients(ALL, frozenset(federated.evaluation.sites))
    plan = round_plan(settings, federation.run, settings.rounds)
    scored = (
        ScoredModel(name, weights, evaluate(federation, weights, plan, "test")) for name, weights in others.items()
    )
    return [compare(federation, plan, "test", federated, other, everyone) for other in scored]
