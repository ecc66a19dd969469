"""What only a GPU can show; left out where there is none."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmarks.training import study_of
from bloodnet_model import device, recorded
from bloodnet_model.batches import Batch, Draw, make_batch
from bloodnet_model.device import best_device
from bloodnet_model.network import build_network
from bloodnet_model.prediction import predict_study
from bloodnet_model.prefetch import batches_ahead
from bloodnet_model.schedule import Schedule
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.study import Study
from bloodnet_model.training import OptimizerState, train_round

MakeStudy = Callable[..., Study]
GPU = torch.device("cuda", 0)
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def test_rounds_on_a_gpu_go_as_on_a_cpu(small: ModelSettings, make_study: MakeStudy) -> None:
    studies = [make_study(i, positive=i % 2 == 0) for i in range(8)]
    losses = []
    for place in ("cpu", "cuda"):
        network, state = build_network(small, 0).to(place), OptimizerState()
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

    def make(number: int, place: torch.device) -> Batch:
        rngs = [Draw(number, 0, 0).generator(0)]
        return make_batch([studies[number]], small.training, 1, rngs, place)

    batches = batches_ahead(lambda number: make(number, GPU), range(len(studies)), GPU)
    for number, batch in enumerate(batches):
        torch.randn(64, 1024, 1024, device=GPU).sum()  # work that takes the memory of what is freed too early
        for name, expected in vars(make(number, torch.device("cpu"))).items():
            assert (getattr(batch, name).cpu() - expected).abs().mean() < 1e-3


def a_round(settings: ModelSettings, studies: list[Study]) -> tuple[torch.Tensor, float]:
    """The weights and the loss after some steps on the GPU."""
    network = build_network(settings, 0).to(best_device())
    result = train_round(network, studies, settings, Schedule(1, 1, 4), np.random.default_rng(0))
    return torch.cat([parameter.detach().flatten().cpu() for parameter in network.parameters()]), result.loss


@pytest.mark.parametrize("bfloat16", [True, False])
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_steps_that_are_recorded_are_those_that_are_not(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch, small: ModelSettings, norm: str, bfloat16: bool
) -> None:
    monkeypatch.setattr(device, "has_fast_bfloat16", lambda _: bfloat16)
    network = {"norm": norm, "norm_from": 16, "study_head": "gru-attention"}
    settings = model_settings("tiny", preprocessing=small.preprocessing.model_dump(), network=network)
    studies = [make_study(i) for i in range(8)]
    weights, _ = a_round(settings, studies)
    assert a_round(settings, studies)[0].equal(weights)
    monkeypatch.setattr(recorded, "_UNRECORDED", 10**9)
    assert a_round(settings, studies)[0].equal(weights)


def test_as_many_rounds_as_one_likes_are_recorded_and_keep_no_memory(
    make_study: MakeStudy, small: ModelSettings
) -> None:
    """PyTorch has 32 streams to give, and a batch must not be sent on the one that is recorded."""
    studies, kept = [make_study(0), make_study(1)] * 2, []
    for _ in range(40):
        a_round(small, studies)
        torch.cuda.empty_cache()
        kept.append(torch.cuda.memory_allocated())
    assert kept[-1] == kept[0]


def test_a_round_with_too_little_memory_goes_on_in_parts() -> None:
    settings = model_settings("small", training={"studies_per_step": 8})
    studies = [study_of(settings)] * 8
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    _, loss = a_round(settings, studies)
    enough = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.7 * enough / torch.cuda.get_device_properties(GPU).total_memory, GPU)
    try:
        _, in_parts = a_round(settings, studies)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, GPU)
    assert in_parts == pytest.approx(loss, rel=0.1)
