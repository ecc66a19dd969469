"""A study's scores: from all its slices, in bounded memory, and from nothing but the study."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch

from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.prediction import SLICES_AT_ONCE, predict_study, slices_that_fit
from bloodnet_model.settings import Link, ModelSettings, model_settings
from bloodnet_model.study import Study

MakeStudy = Callable[..., Study]
NOISE = 5e-3
"""Of a probability: bfloat16 convolutions may sum in another order in a batch of another size."""


def seeing(network: BloodNet) -> list[int]:
    """A list that will hold the number of slices of every batch `network` sees."""
    sizes: list[int] = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


def lively(settings: ModelSettings) -> BloodNet:
    """A network whose classifier uses all it sees, so that scores of slices differ widely."""
    network = build_network(settings, 0)
    with torch.no_grad():
        network.classify.weight.mul_(10)
        network.mask_head.weight.mul_(10)
    return network


@pytest.mark.parametrize("slices", [1, 33, 400])
def test_any_number_of_slices_is_scored_with_few_in_memory(
    small: ModelSettings, make_study: MakeStudy, slices: int
) -> None:
    network = build_network(small, 0)
    sizes = seeing(network)
    prediction = predict_study(network, make_study(0, slices=slices), small)
    assert sum(sizes) == slices
    assert max(sizes) <= SLICES_AT_ONCE
    assert prediction.slice_probabilities.shape == (slices, 6)
    assert prediction.mask.shape == (slices, 16, 12)
    assert np.isfinite(prediction.probabilities).all()


@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.parametrize("link", [link for link in get_args(Link) if link != "shuffled"])
def test_scores_do_not_depend_on_how_many_slices_go_at_once(make_study: MakeStudy, preset: str, link: str) -> None:
    grid = {"rows": 32, "columns": 24, "spacing_mm": 6.0, "windows_hu": ((0, 80), (-20, 180))}
    settings = model_settings(preset, preprocessing=grid, network={"link": link})
    network, study = lively(settings), make_study(0, slices=21)
    together = predict_study(network, study, settings, 32)
    assert together.slice_probabilities.std() > 4 * NOISE
    for at_once in (1, 2, 7, 20):
        apart = predict_study(network, study, settings, at_once)
        assert apart.probabilities == pytest.approx(together.probabilities, abs=NOISE)
        assert apart.slice_probabilities == pytest.approx(together.slice_probabilities, abs=NOISE)
        assert (apart.mask != together.mask).mean() < 0.01


def test_scores_are_the_same_whatever_was_scored_before(small: ModelSettings, make_study: MakeStudy) -> None:
    network = lively(small)
    alone = predict_study(network, make_study(0), small)
    predict_study(network, make_study(1, slices=40), small)
    again = predict_study(network, make_study(0), small)
    assert again.probabilities.tolist() == alone.probabilities.tolist()
    assert (again.mask == alone.mask).all()


def test_slices_are_halved_until_they_fit(small: ModelSettings, make_study: MakeStudy) -> None:
    network, study = build_network(small, 0), make_study(0, slices=20)
    expected = predict_study(network, study, small)
    tried: list[int] = []
    memory = 5  # slices

    def refuse(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        tried.append(len(inputs[0]))
        if tried[-1] > memory:
            raise torch.OutOfMemoryError

    network.register_forward_pre_hook(refuse)
    prediction = predict_study(network, study, small)
    assert tried == [20, 16, 8, 4, 4, 4, 4, 4]
    assert prediction.probabilities == pytest.approx(expected.probabilities, abs=NOISE)
    memory = 0
    with pytest.raises(torch.OutOfMemoryError):
        predict_study(network, study, small)


@pytest.mark.parametrize(("free", "expected"), [(0, 1), (399, 1), (400, 2), (1000, 4), (10**6, 64)])
def test_slices_take_at_most_half_of_what_is_free(free: int, expected: int) -> None:
    assert slices_that_fit(free, bytes_a_slice=100) == expected
