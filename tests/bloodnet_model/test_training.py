from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch

from bloodnet_model.batches import choose_slices, epochs_of, make_batch, slice_stack, unpack_mask
from bloodnet_model.errors import DataError, TrainingDiverged
from bloodnet_model.network import build_network
from bloodnet_model.prediction import dice, predict_study
from bloodnet_model.settings import Link, ModelSettings, model_settings
from bloodnet_model.study import Study
from bloodnet_model.training import (
    OptimizerState,
    Schedule,
    TrainingResult,
    add_proximal_gradient,
    learning_rate_at,
    train_round,
)
from bloodnet_model.weights import flat_weights

MakeStudy = Callable[..., Study]
ONE_ROUND = Schedule(1, 1, 1)


def trained(
    studies: list[Study], settings: ModelSettings, schedule: Schedule = ONE_ROUND, mu: float = 0.0
) -> tuple[bytes, TrainingResult]:
    network = build_network(settings, 0)
    result = train_round(network, studies, settings, schedule, np.random.default_rng(0), proximal_mu=mu)
    return flat_weights(network).tobytes(), result


def test_same_seed_same_bytes_and_no_global_generator(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i, positive=i % 2 == 0) for i in range(4)]
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    assert trained(studies, small)[0] == trained(studies, small)[0]
    assert torch.get_rng_state().equal(torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()  # type: ignore[index]  # noqa: NPY002


def test_it_learns_an_easy_task(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i, positive=i % 2 == 0) for i in range(8)]
    network = build_network(small, 0)
    train_round(network, studies, small, Schedule(1, 1, 25), np.random.default_rng(0))
    held_out = [make_study(100 + i, positive=i % 2 == 0) for i in range(4)]
    scores = [predict_study(network, study, small).probabilities[0] for study in held_out]
    assert min(scores[0::2]) > max(scores[1::2])
    overlap = dice(predict_study(network, held_out[0], small).mask, held_out[0])
    assert overlap is not None
    assert overlap > 0.5


def test_fedprox_gradient_by_hand() -> None:
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    anchor = torch.tensor([0.5, 0.0])
    weight.grad = torch.tensor([0.1, 0.1])
    add_proximal_gradient([weight], [anchor], mu=0.5)
    # d/dw (0.5 / 2) * |w - anchor|^2 = 0.5 * (w - anchor) = (0.25, -1.0)
    assert weight.grad.tolist() == pytest.approx([0.35, -0.9])


def test_fedprox_gradient_is_that_of_the_squared_norm() -> None:
    weight = torch.randn(7, requires_grad=True)
    anchor, mu = torch.randn(7), 0.3
    (mu / 2 * (weight - anchor).square().sum()).backward()  # type: ignore[no-untyped-call]
    expected, weight.grad = weight.grad, None
    add_proximal_gradient([weight], [anchor], mu)
    assert weight.grad is not None
    assert expected is not None
    assert torch.allclose(weight.grad, expected)


def test_a_large_mu_holds_the_weights_near_the_start(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i) for i in range(4)]
    start = flat_weights(build_network(small, 0))
    moved = [
        np.abs(np.frombuffer(trained(studies, small, Schedule(1, 1, 5), mu)[0], np.float32) - start).sum()
        for mu in (0.0, 50.0)
    ]
    assert moved[1] < 0.8 * moved[0]


def test_the_optimiser_goes_on_where_it_stood(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i) for i in range(2)]
    _, first = trained(studies, small, Schedule(1, 2, 1))
    network = build_network(small, 0)
    second = train_round(network, studies, small, Schedule(2, 2, 1), np.random.default_rng(1), first.optimizer_state)
    assert second.optimizer_state["step.conv1.weight"].item() == 2 * first.steps


def test_learning_rate_warms_up_and_ends_low() -> None:
    settings = model_settings("tiny", training={"learning_rate": 1.0, "warmup_steps": 10}).training
    assert learning_rate_at(0, 100, settings) == pytest.approx(0.1)
    assert learning_rate_at(50, 100, settings) == pytest.approx(0.525)  # 0.05 + 0.95 / 2
    assert learning_rate_at(100, 100, settings) == pytest.approx(0.05)


def test_no_study_is_said(small: ModelSettings) -> None:
    with pytest.raises(DataError, match="no study to train on"):
        trained([], small)


def test_every_study_is_seen_once_an_epoch() -> None:
    steps = list(epochs_of(5, 2, 2, np.random.default_rng(0)))
    assert [len(step) for step in steps] == [2] * 6
    for epoch in (steps[:3], steps[3:]):
        assert {study for step in epoch for study in step} == set(range(5))


def test_chosen_slices_hold_positives_in_anatomical_order(small: ModelSettings, make_study: MakeStudy) -> None:
    study = make_study(0, slices=30)
    chosen = choose_slices(study, small.training, np.random.default_rng(0))
    assert len(chosen) == small.training.slices_per_study
    assert (np.diff(chosen) > 0).all()
    assert (study.slice_labels[chosen, 0] == 1).sum() >= small.training.positive_slices_per_study


def test_a_single_slice_fills_its_place(small: ModelSettings, make_study: MakeStudy) -> None:
    chosen = choose_slices(make_study(0, slices=1), small.training, np.random.default_rng(0))
    assert chosen.tolist() == [0] * small.training.slices_per_study


def test_neighbours_repeat_at_the_edges(make_study: MakeStudy) -> None:
    study = make_study(0, slices=3)
    stack = slice_stack(study, np.array([0, 2]), neighbours=1)
    assert stack[0, 0:2].equal(stack[0, 2:4])
    assert stack[1, 2:4].equal(stack[1, 4:6])
    assert stack.min() >= -1
    assert stack.max() <= 1


def test_mask_bits_unpack_in_class_order() -> None:
    assert unpack_mask(np.array([[[0b100001]]], np.uint8)).flatten().tolist() == [1, 0, 0, 0, 0, 1]


def test_a_flip_takes_the_mask_with_it(small: ModelSettings, make_study: MakeStudy) -> None:
    study = make_study(0)
    bright = []
    for seed in range(8):
        batch = make_batch([study], small.training, 1, np.random.default_rng(seed))
        blood = torch.nn.functional.interpolate(batch.masks[:, :1], scale_factor=2) > 0
        bright.append(batch.slices[:, 2:3][blood].mean().item())
    assert min(bright) > 0.6  # 230 of 255, wherever it lies


def test_dice_is_unknown_without_blood(small: ModelSettings, make_study: MakeStudy) -> None:
    study = make_study(0, positive=False)
    assert dice(np.zeros((8, 16, 12), bool), study) is None


@pytest.mark.parametrize("link", get_args(Link))
def test_every_link_trains_round_after_round(make_study: MakeStudy, link: str) -> None:
    grid = {"rows": 32, "columns": 24, "spacing_mm": 6.0}
    settings = model_settings("tiny", preprocessing=grid, network={"link": link}, training={"weight_decay": 0})
    studies = [make_study(i, positive=i % 2 == 0) for i in range(4)]
    network = build_network(settings, 0)
    masks_before = network.mask_head.weight.detach().clone()
    state: OptimizerState = {}
    for number in (1, 2):
        rng = np.random.default_rng(number)
        state = train_round(network, studies, settings, Schedule(number, 2, 1), rng, state).optimizer_state
    assert float(state["step.classify.weight"]) == 4
    assert (link == "single") == network.mask_head.weight.equal(masks_before)
    assert 0 < predict_study(network, studies[0], settings).probabilities[0] < 1


def test_a_loss_that_is_no_number_stops_the_round(small: ModelSettings, make_study: MakeStudy) -> None:
    network = build_network(small, 0)
    with torch.no_grad():
        network.classify.bias.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"Step 1: the loss is nan; lower training\.learning_rate"):
        train_round(network, [make_study(0)], small, ONE_ROUND, np.random.default_rng(0))
