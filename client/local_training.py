"""A site's part of a round: train, keep what the next round goes on from, and give no more than the strategy needs.

What a strategy leaves at the site, its own norms (FedBN) or a model of its own (Ditto), is a part of the flat weights.
"""

import time

import numpy as np
import torch
from numpy.typing import NDArray

from bloodnet_model.device import best_device
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.schedule import Schedule
from bloodnet_model.seeds import derive_seed
from bloodnet_model.steering import Steering
from bloodnet_model.training import TrainingResult, train_round
from bloodnet_model.weights import flat_weights, norm_positions, save_network, set_flat_weights
from client.dataset import SiteData
from client.state import Sections, SiteState
from strategies.records import RoundPlan, Training, Update

# Sections of what a site keeps, and the name of the tensor in those that hold one flat vector.
_OPTIMIZER, _CONTROL, _OWN, _OWN_OPTIMIZER = "optimizer", "control", "own", "own-optimizer"
_VALUES = "values"

Vector = NDArray[np.float32]


def train_at_site(data: SiteData, asked: Training) -> Update:
    """Train on this site's training studies; its seed is that of (run, site, round).

    The state after this round is kept beside that after the round that counted last, whose it goes on from.
    """
    started, plan, studies = time.monotonic(), asked.plan, data.studies("train")
    state = SiteState(data.site.cache, plan.run)
    kept = state.after(plan.counted_round)
    network = network_of(data, plan, asked.weights)
    if plan.personal == "norms":
        put_own_part(network, plan, kept)
    control = kept[_CONTROL][_VALUES].numpy() if _CONTROL in kept else np.zeros_like(asked.weights)
    steering = Steering(asked.proximal_mu, correction=None if asked.control is None else asked.control - control)
    result = _trained(data, network, plan, kept.get(_OPTIMIZER), steering)
    weights, after, change = flat_weights(network), {_OPTIMIZER: result.optimizer_state}, None
    if result.mean_gradient is not None:
        after[_CONTROL], change = _section(result.mean_gradient), result.mean_gradient - control
    if plan.personal == "norms":
        norms = norm_positions(network)
        after[_OWN] = _section(weights[norms])
        weights[norms] = asked.weights[norms]
    elif plan.personal == "model":
        after |= _own_model(data, network, asked, kept)
    if plan.round < plan.total_rounds or plan.personal:
        state.save(plan.round, after, plan.counted_round)
    known, seconds = sum(int(study.mask_known.sum()) for study in studies), time.monotonic() - started
    losses = (result.loss, result.mask_loss, result.slice_loss, result.study_loss)
    return Update(weights, len(studies), result.steps, losses, seconds, plan.round, known, change)


def own_network(data: SiteData, plan: RoundPlan, weights: Vector) -> BloodNet:
    """The network of `weights`, with this site's own part where there is one; then it is kept as a whole, too."""
    network, state = network_of(data, plan, weights), SiteState(data.site.cache, plan.run)
    if put_own_part(network, plan, state.after(plan.counted_round)):
        save_network(state.own_model, network, plan.model)
    return network


def network_of(data: SiteData, plan: RoundPlan, weights: Vector) -> BloodNet:
    network = build_network(plan.model, seed=0)
    set_flat_weights(network, weights)
    return network.to(best_device(data.site.settings.device))


def put_own_part(network: BloodNet, plan: RoundPlan, kept: Sections) -> bool:
    """Put what the site has kept of its own in the place of what everybody has; False where it has none."""
    if not plan.personal or _OWN not in kept:
        return False
    weights = flat_weights(network)
    weights[norm_positions(network) if plan.personal == "norms" else slice(None)] = kept[_OWN][_VALUES].numpy()
    set_flat_weights(network, weights)
    return True


def _own_model(data: SiteData, network: BloodNet, asked: Training, kept: Sections) -> Sections:
    """Ditto's step: the site's own model, at first the shared one, trained as long and held to what was received."""
    set_flat_weights(network, asked.weights)
    put_own_part(network, asked.plan, kept)
    steering = Steering(asked.personal_lambda, anchor=asked.weights)
    result = _trained(data, network, asked.plan, kept.get(_OWN_OPTIMIZER), steering, "own")
    return {_OWN: _section(flat_weights(network)), _OWN_OPTIMIZER: result.optimizer_state}


def _trained(
    data: SiteData,
    network: BloodNet,
    plan: RoundPlan,
    optimizer: dict[str, torch.Tensor] | None,
    steering: Steering,
    *seed: str,
) -> TrainingResult:
    return train_round(
        network,
        data.studies("train"),
        plan.model,
        Schedule(plan.round, plan.total_rounds, plan.local_epochs, plan.local_steps),
        np.random.default_rng(derive_seed(plan.seed, data.site.settings.name, plan.round, *seed)),
        optimizer,
        steering,
    )


def _section(vector: Vector) -> dict[str, torch.Tensor]:
    return {_VALUES: torch.from_numpy(vector.copy())}
