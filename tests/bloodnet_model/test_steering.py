"""What strategies add to a site's gradients, by hand and through a round of training."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bloodnet_model.errors import WeightsError
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.schedule import Schedule
from bloodnet_model.settings import ModelSettings, TrainingSettings
from bloodnet_model.steering import UNSTEERED, Steering, add_proximal_gradient, correct_gradients
from bloodnet_model.study import Study
from bloodnet_model.training import TrainingResult, train_round
from bloodnet_model.weights import flat_weights

MakeStudy = Callable[..., Study]
Vector = NDArray[np.float32]
RATE = 0.05


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


def test_a_correction_by_hand() -> None:
    weights = [torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)]
    correction, sums = [torch.tensor([0.5, -1.0]), torch.tensor([3.0])], [torch.zeros(2), torch.zeros(1)]
    for gradient in ([1.0, 2.0], [3.0, float("inf")]):  # the second overflowed: its step is left out
        weights[0].grad, weights[1].grad = torch.tensor(gradient), None
        correct_gradients(weights, correction, sums)
    assert [total.tolist() for total in sums] == [[4.0, 2.0], [0.0]]  # of what they were before
    assert [weight.grad.tolist() for weight in weights if weight.grad is not None] == [[3.5, float("inf")], [3.0]]
    assert correction[1].tolist() == [3.0]


@pytest.fixture
def plain_sgd(small: ModelSettings, monkeypatch: pytest.MonkeyPatch) -> ModelSettings:
    """Training as the paper has it: w <- w - RATE·g in every step."""

    def sgd(network: BloodNet, _: TrainingSettings) -> torch.optim.Optimizer:
        return torch.optim.SGD(network.parameters(), lr=RATE)

    monkeypatch.setattr("bloodnet_model.training.new_optimizer", sgd)
    constant = {"learning_rate": RATE, "warmup_steps": 0, "final_learning_rate_share": 1.0, "clip_norm": 1e9}
    return small.model_copy(update={"training": small.training.model_copy(update=constant)})


def trained(
    settings: ModelSettings, studies: list[Study], steering: Steering, steps: int
) -> tuple[Vector, Vector, TrainingResult]:
    """Weights before and after a round."""
    network = build_network(settings, 0)
    before = flat_weights(network)
    result = train_round(
        network, studies, settings, Schedule(1, 1, steps, steps), np.random.default_rng(0), steering=steering
    )
    return before, flat_weights(network), result


def test_scaffolds_control_is_option_two_for_plain_sgd(plain_sgd: ModelSettings, make_study: MakeStudy) -> None:
    studies, steps = [make_study(i) for i in range(4)], 5
    rng = np.random.default_rng(3)
    control, own = (rng.normal(0, 0.05, len(flat_weights(build_network(plain_sgd, 0)))) for _ in range(2))
    steering = Steering(correction=(control - own).astype(np.float32))
    before, after, result = trained(plain_sgd, studies, steering, steps)
    option_two = own - control + (before.astype(np.float64) - after) / (steps * RATE)
    assert result.mean_gradient is not None
    assert np.abs(result.mean_gradient).max() > 0.01
    np.testing.assert_allclose(result.mean_gradient, option_two, atol=2e-6)


def test_an_uncorrected_round_tells_no_gradient(small: ModelSettings, make_study: MakeStudy) -> None:
    settings = small.model_copy(update={"training": small.training.model_copy(update={"weight_decay": 0.0})})
    studies = [make_study(i) for i in range(2)]
    _, plain, result = trained(settings, studies, UNSTEERED, 2)
    assert result.mean_gradient is None
    _, corrected, result = trained(settings, studies, Steering(correction=np.zeros_like(plain)), 2)
    assert result.mean_gradient is not None
    np.testing.assert_allclose(corrected, plain, atol=1e-6)


def test_a_step_towards_an_anchor_by_hand(plain_sgd: ModelSettings, make_study: MakeStudy) -> None:
    studies, mu = [make_study(i) for i in range(2)], 0.5
    before, free, _ = trained(plain_sgd, studies, UNSTEERED, 1)
    anchor = np.random.default_rng(0).normal(size=len(before)).astype(np.float32)
    held = trained(plain_sgd, studies, Steering(mu, anchor), 1)[1]
    np.testing.assert_allclose(held - free, -RATE * mu * (before - anchor), atol=1e-6)
    at_start = trained(plain_sgd, studies, Steering(mu), 1)[1]
    np.testing.assert_allclose(at_start, free, atol=1e-7)  # the first step is at its anchor


@pytest.mark.parametrize("steering", [Steering(0.1, np.zeros(3, np.float32)), Steering(correction=np.zeros(3, "f4"))])
def test_vectors_of_another_network_are_refused(
    steering: Steering, small: ModelSettings, make_study: MakeStudy
) -> None:
    with pytest.raises(WeightsError, match=r"shape \(3,\)"):
        trained(small, [make_study(0)], steering, 1)
