"""Every hospital trained alone: what each would have had without the federation, and how far it carries elsewhere."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from flwr.app import Message, MessageType
from numpy.typing import NDArray

from bloodnet_model.errors import UnusableAnswer
from bloodnet_model.metrics import summary
from bloodnet_model.run_metrics import ELSEWHERE, FEDERATED
from server.comparisons import Patients, ScoredModel, compare
from server.federation import Federation
from server.rounds import evaluate
from strategies import records
from strategies.update_gate import Expected, checked_update


def train_alone(federation: Federation, start: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Each site's own model, from the run's first weights and with as many epochs as the run had for it.

    A site that fails or sends something unusable has none.
    """
    settings, sites = federation.settings, federation.sites

    whole = {"run": f"{federation.journal.run}-alone", "total_rounds": 1, "counted_round": 0, "personal": ""}
    plans = {
        site: plan.model_copy(
            update={
                **whole,
                "local_epochs": settings.rounds * plan.local_epochs,
                "local_steps": settings.rounds * plan.local_steps,
            }
        )
        for site, plan in federation.training_plans(1, federation.holding("train").values()).items()
    }
    content = records.instruction(records.pack_weights(start), records.pack_plan(federation.plan(1)))
    messages = [Message(content, node, MessageType.TRAIN) for node in sorted(federation.holding("train"))]
    own: dict[str, NDArray[np.float32]] = {}
    for answer in federation.ask(messages, plans, "training alone", deadlines=settings.rounds):
        declared = sites.info[answer.site].counts.get("train-studies", 0)
        expected = Expected(plans[answer.site], start, declared, settings.rounds * settings.deadline_s)
        with suppress(UnusableAnswer):
            update = answer.unpacked(partial(checked_update, expected=expected)).update
            own[answer.site] = np.asarray(update.weights[:])
    return dict(sorted(own.items()))


def compared_with_alone(
    federation: Federation, number: int, federated: ScoredModel, alone: Mapping[str, NDArray[np.float32]]
) -> dict[str, Any]:
    """`cross_site` and `comparisons` of `metrics.json`: each own model on every site's test patients.

    The federated model is compared with a site's own on the patients of that site, and on those of all others.
    """
    plan = federation.plan(number)
    rows, comparisons = {FEDERATED: _row(federated)}, []
    for site, weights in alone.items():
        own = ScoredModel(f"{site} alone", weights, evaluate(federation, weights, plan, "test"))
        rows[own.name] = _row(own)
        everyone = frozenset(federated.evaluation.sites)
        for patients in (Patients(site, everyone & {site}), Patients(ELSEWHERE + site, everyone - {site})):
            if patients.sites:
                comparisons.append(compare(federation, federation.own(plan), "test", federated, own, patients))
    return {"cross_site": {"rows": rows}, "comparisons": comparisons}


def _row(model: ScoredModel) -> dict[str, Any]:
    return {site: summary(histogram) for site, histogram in model.evaluation.of_any().items()}
