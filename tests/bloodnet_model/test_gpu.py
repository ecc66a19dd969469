"""What only a GPU can show; left out where there is none."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bloodnet_model.batches import Batch, Draw, make_batch
from bloodnet_model.network import build_network
from bloodnet_model.prediction import predict_study
from bloodnet_model.prefetch import batches_ahead
from bloodnet_model.schedule import Schedule
from bloodnet_model.settings import ModelSettings
from bloodnet_model.study import Study
from bloodnet_model.training import OptimizerState, train_round

MakeStudy = Callable[..., Study]
GPU = torch.device("cuda")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def test_rounds_on_a_gpu_go_as_on_a_cpu(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i, positive=i % 2 == 0) for i in range(8)]
    losses = []
    for device in ("cpu", "cuda"):
        network, state = build_network(small, 0).to(device), OptimizerState()
        for number in (1, 2):
            rng = np.random.default_rng(number)
            result = train_round(network, studies, small, Schedule(number, 2, 4), rng, state)
            state = result.optimizer_state
        losses.append(result.loss)
        assert {value.device.type for value in state.values()} == {"cpu"}
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_a_prediction_on_a_gpu_is_that_of_a_cpu(small: ModelSettings, make_study: MakeStudy) -> None:
    network, study = build_network(small, 0), make_study(0, slices=20)
    expected = predict_study(network, study, small)
    prediction = predict_study(network.to(GPU), study, small)
    assert prediction.probabilities == pytest.approx(expected.probabilities, abs=5e-3)
    assert (prediction.mask != expected.mask).mean() < 0.01


def test_batches_made_ahead_are_those_of_a_cpu(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i, slices=20) for i in range(12)]

    def make(number: int, device: torch.device) -> Batch:
        rngs = [Draw(number, 0, 0).generator(0)]
        return make_batch([studies[number]], small.training, 1, rngs, device)

    batches = batches_ahead(lambda number: make(number, GPU), range(len(studies)), GPU)
    for number, batch in enumerate(batches):
        torch.randn(64, 1024, 1024, device=GPU).sum()  # work that takes the memory of what is freed too early
        for name, expected in vars(make(number, torch.device("cpu"))).items():
            assert (getattr(batch, name).cpu() - expected).abs().mean() < 1e-3
