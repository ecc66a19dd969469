import numpy as np
import pytest

from bloodnet_model.errors import TrainingDiverged
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.settings import ModelSettings
from simulation.ablation.plateau import Check, Curve, PlateauSettings, is_flat, train_to_plateau
from tests.conftest import MakeStudy

RULE = PlateauSettings(window=2, patience=2, gain=0.01)


def checks(*aucs: float) -> list[Check]:
    return [Check(step, auc, None) for step, auc in enumerate(aucs)]


@pytest.mark.parametrize(
    ("aucs", "flat"),
    [
        ((), False),
        ((0.9, 0.9, 0.9), False),  # too few looks to tell
        ((0.9, 0.9, 0.9, 0.9), True),
        ((0.7, 0.8, 0.85, 0.9), False),
        ((0.5, 0.5, 0.5, 0.5, 0.5), False),  # at chance: training has not begun
        ((0.9, 0.9, 0.7, 0.7), True),  # past its best
        ((0.8, 0.8, 0.7, 0.7, 0.85, 0.85), False),  # a dip, and above the best before it
    ],
)
def test_a_plateau_is_told_from_a_start_and_from_a_rise(aucs: tuple[float, ...], flat: bool) -> None:
    assert is_flat(checks(*aucs), RULE) is flat


def test_training_ends_at_the_plateau_and_then_comes_down(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(seed, positive=seed % 2 == 0) for seed in range(4)]
    rising = iter([0.6, 0.7, 0.8, 0.8, 0.8, 0.8, 0.85])
    rule = PlateauSettings(check_steps=4, window=1, patience=3, gain=0.01, maximum_steps=100, decay_steps=6)
    network = build_network(small, 0)
    curve = train_to_plateau(network, studies, lambda _: (next(rising), None), small, rule, np.random.default_rng(0))
    assert curve.settled
    assert [check.step for check in curve.checks] == [4, 8, 12, 16, 20, 24, 30]
    assert curve.checks[-1].auc == 0.85
    assert Curve.from_json(curve.to_json()) == curve


def test_patience_has_an_end_that_is_said(small: ModelSettings, make_study: MakeStudy) -> None:
    rule = PlateauSettings(check_steps=2, maximum_steps=4, decay_steps=2)
    studies = [make_study(seed, positive=seed % 2 == 0) for seed in range(4)]
    network = build_network(small, 0)
    curve = train_to_plateau(network, studies, lambda _: (0.5, 0.0), small, rule, np.random.default_rng(0))
    assert not curve.settled
    assert [check.step for check in curve.checks] == [2, 4, 6]


def test_the_rate_stays_up_until_the_plateau(
    small: ModelSettings, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr("bloodnet_model.training._set_learning_rate", lambda optimizer, rate: rates.append(rate))
    studies = [make_study(seed, positive=seed % 2 == 0) for seed in range(4)]
    rule = PlateauSettings(check_steps=4, maximum_steps=8, decay_steps=8, warmup_steps=2, learning_rate_share=0.5)
    train_to_plateau(build_network(small, 0), studies, lambda _: (0.5, 0.0), small, rule, np.random.default_rng(0))
    full = 0.5 * small.training.learning_rate
    assert rates[0] == full / 2
    assert rates[1:8] == [full] * 7
    assert rates[8] == full
    assert rates[8:] == sorted(rates[8:], reverse=True)
    assert rates[-1] < 0.2 * full


def test_a_diverged_training_says_so(small: ModelSettings, make_study: MakeStudy) -> None:
    def broken(network: BloodNet) -> tuple[float, float]:
        next(network.parameters()).data.fill_(float("nan"))
        return 0.5, 0.0

    studies = [make_study(seed, positive=seed % 2 == 0) for seed in range(4)]
    with pytest.raises(TrainingDiverged):
        train_to_plateau(
            build_network(small, 0), studies, broken, small, PlateauSettings(check_steps=2), np.random.default_rng(0)
        )
