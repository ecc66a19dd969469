"""Every hospital trained alone: what each would have had without the federation, and how far it carries elsewhere."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import Message, MessageType
from numpy.typing import NDArray

from bloodnet_model.metrics import summary
from bloodnet_model.run_metrics import ELSEWHERE, FEDERATED
from server.comparisons import Patients, ScoredModel, compare
from server.rounds import Federation, ask, evaluate, round_plan
from strategies import records
from strategies.update_gate import refusal_reason


def train_alone(federation: Federation, start: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Each site's own model, from the run's first weights and with as many epochs as the run had for it.

    A site that fails or sends something unusable has none.
    """
    settings, sites = federation.settings, federation.sites
    epochs = settings.rounds * settings.local_epochs
    plan = round_plan(settings, f"{federation.run}-alone", 1)
    plan = plan.model_copy(update={"total_rounds": 1, "local_epochs": epochs})
    content = records.instruction(records.pack_weights(start), records.pack_plan(plan))
    messages = [Message(content, node, MessageType.TRAIN) for node in sorted(sites.holding("train"))]
    answers = ask(federation, messages, "training alone", deadlines=settings.rounds)
    return {
        site: update.weights
        for site, update in sorted(answers.unpacked(records.unpack_update).items())
        if refusal_reason(update, len(start), sites.info[site].counts.get("train-studies", 0)) is None
    }


def compared_with_alone(
    federation: Federation, federated: ScoredModel, alone: Mapping[str, NDArray[np.float32]]
) -> dict[str, Any]:
    """`cross_site` and `comparisons` of `metrics.json`: each own model on every site's test patients.

    The federated model is compared with a site's own on the patients of that site, and on those of all others.
    """
    plan = round_plan(federation.settings, federation.run, federation.settings.rounds)
    rows, comparisons = {FEDERATED: _row(federated)}, []
    for site, weights in alone.items():
        own = ScoredModel(f"{site} alone", weights, evaluate(federation, weights, plan, "test"))
        rows[own.name] = _row(own)
        everyone = frozenset(federated.evaluation.sites)
        for patients in (Patients(site, everyone & {site}), Patients(ELSEWHERE + site, everyone - {site})):
            if patients.sites:
                comparisons.append(compare(federation, plan, "test", federated, own, patients))
    return {"cross_site": {"rows": rows}, "comparisons": comparisons}


def _row(model: ScoredModel) -> dict[str, Any]:
    return {site: summary(histogram) for site, histogram in model.evaluation.of_any().items()}
