"""Gradients of a batch as a whole and, where memory runs out, of its parts."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bloodnet_model.batches import Batch, make_batch
from bloodnet_model.device import new_scaler
from bloodnet_model.gradients import Gradients, parts
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.schedule import Schedule
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.study import Study
from bloodnet_model.training import train_round

MakeStudy = Callable[..., Study]
CPU = torch.device("cpu")
OFF = new_scaler(CPU)


def four_a_step(**network: str) -> ModelSettings:
    """Four studies a step; no masks, whose mean is one of the slices that hold blood."""
    return model_settings(
        "tiny",
        preprocessing={"rows": 32, "columns": 24, "spacing_mm": 6.0},
        network=network,
        training={"studies_per_step": 4, "mask_weight": 0},
    )


@pytest.fixture
def batch(make_study: MakeStudy) -> Batch:
    settings = four_a_step()
    studies = [make_study(i, positive=i % 2 == 0) for i in range(4)]
    return make_batch(studies, settings.training, 1, [np.random.default_rng(i) for i in range(4)])


def with_memory_for(network: BloodNet, slices: int) -> list[int]:
    """As on a GPU with memory for so many slices; the list will hold how many were tried."""
    tried: list[int] = []

    def refuse(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        tried.append(len(inputs[0]))
        if tried[-1] > slices:
            raise torch.OutOfMemoryError

    network.register_forward_pre_hook(refuse)
    return tried


def vector(network: BloodNet) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def test_parts_hold_whole_studies_in_order(batch: Batch) -> None:
    halves = list(parts(batch, 2))
    assert [len(half.slices) for half in halves] == [12, 12]
    assert [len(half.study_labels) for half in halves] == [2, 2]
    for name, whole in vars(batch).items():
        assert torch.cat([getattr(half, name) for half in halves]).equal(whole)
    assert [len(part.mask_known) for part in parts(batch, 3)] == [18, 6]


def test_where_memory_runs_out_the_parts_add_up_to_the_whole(batch: Batch) -> None:
    settings = four_a_step()
    whole, halved = build_network(settings, 0), build_network(settings, 0)
    expected = Gradients(whole, settings.training, OFF).of(batch)
    tried = with_memory_for(halved, 12)
    gradients = Gradients(halved, settings.training, OFF)
    assert gradients.of(batch).tolist() == pytest.approx(expected.tolist(), rel=1e-2)
    assert (vector(halved) - vector(whole)).norm() < 0.02 * vector(whole).norm()
    gradients.of(batch)
    assert tried == [24, 12, 12, 12, 12]  # the second batch goes through in halves from the start
    assert (vector(halved) - vector(whole)).norm() < 0.02 * vector(whole).norm()


def test_where_not_even_one_study_fits_the_error_is_the_callers(batch: Batch) -> None:
    settings = four_a_step()
    network = build_network(settings, 0)
    tried = with_memory_for(network, 5)
    with pytest.raises(torch.OutOfMemoryError):
        Gradients(network, settings.training, OFF).of(batch)
    assert tried == [24, 12, 6]


def test_a_shuffled_study_is_never_left_alone_with_its_own_masks(batch: Batch) -> None:
    settings = four_a_step(link="shuffled")
    network = build_network(settings, 0)
    tried = with_memory_for(network, 6)
    with pytest.raises(torch.OutOfMemoryError):
        Gradients(network, settings.training, OFF).of(batch)
    assert tried == [24, 12]


def test_a_round_goes_on_in_halves(make_study: MakeStudy) -> None:
    settings = four_a_step()
    network = build_network(settings, 0)
    tried = with_memory_for(network, 12)
    studies = [make_study(i, positive=i % 2 == 0) for i in range(8)]
    result = train_round(network, studies, settings, Schedule(1, 1, 1), np.random.default_rng(0))
    assert tried == [24, 12, 12, 12, 12]
    assert 0 < result.loss < 10


def test_a_scaled_loss_gives_scaled_gradients_and_the_loss_as_it_is(batch: Batch) -> None:
    settings = four_a_step()
    plain, scaled = build_network(settings, 0), build_network(settings, 0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    losses = [
        Gradients(plain, settings.training, OFF).of(batch).tolist(),
        Gradients(scaled, settings.training, scaler).of(batch).tolist(),
    ]
    assert losses[0] == losses[1]
    assert (vector(scaled) / 2**10 - vector(plain)).norm() < 1e-3 * vector(plain).norm()
