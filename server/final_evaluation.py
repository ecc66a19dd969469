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
from server.federation import Federation
from server.rounds import evaluate

Weights = NDArray[np.float32]


def final_evaluation(
    federation: Federation,
    number: int,
    first: Weights,
    last: Weights,
    validation: PooledEvaluation,
    others: Mapping[str, Weights],
) -> Iterator[dict[str, Any]]:
    """Entries of `metrics.json`, one after another as they are found; each takes the sites a while.

    number:      the round whose model is tested
    first, last: the weights that the run began with, and those of that round
    validation:  of those weights; thresholds and calibration are chosen on it
    others:      weights by the name of the model to compare with
    """
    settings, use = federation.settings, ClinicalUse.chosen_on(validation, federation.settings.evaluation)
    plan = federation.own(federation.plan(number))

    def tested(split: Split) -> tuple[PooledEvaluation, dict[str, Any]]:
        evaluation = evaluate(federation, last, plan, split, use.threshold)
        return evaluation, evaluation.as_metrics(use.threshold) | use.held_to(evaluation)

    test, record = tested("test")
    yield {"test": record}
    yield {"held_out": {split: tested(split)[1] for split in HELD_OUT if federation.sites.holding(split)}}
    federated = ScoredModel(FEDERATED, last, test)
    comparisons = _with_others(federation, number, federated, others)
    yield {"comparisons": comparisons}
    if settings.evaluation.alone:
        alone = compared_with_alone(federation, number, federated, train_alone(federation, first))
        yield alone | {"comparisons": [*comparisons, *alone["comparisons"]]}


def _with_others(
    federation: Federation, number: int, federated: ScoredModel, others: Mapping[str, Weights]
) -> list[dict[str, Any]]:
    """Comparisons on all test patients."""
    plan, everyone = federation.plan(number), Patients(ALL, frozenset(federated.evaluation.sites))
    scored = (
        ScoredModel(name, weights, evaluate(federation, weights, plan, "test")) for name, weights in others.items()
    )
    return [compare(federation, federation.own(plan), "test", federated, other, everyone) for other in scored]
