import pytest
import torch

from bloodnet_model.network import BloodNet, build_network, mask_statistics, seen_by_classifier
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.weights import flat_weights


def parameters(network: BloodNet) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_shapes(small: ModelSettings) -> None:
    output = build_network(small, 0)(torch.zeros(5, 6, 32, 24))
    assert output.mask_logits.shape == (5, 6, 16, 12)
    assert output.slice_logits.shape == (5, 6)


def test_base_is_the_network_of_25_million_parameters() -> None:
    assert 24.5e6 < parameters(build_network(model_settings("base"), 0)) < 25.5e6


def test_the_link_changes_no_parameter() -> None:
    counts = {
        parameters(build_network(model_settings("tiny", network={"link": link}), 0))
        for link in ("dependent", "detached", "independent")
    }
    assert len(counts) == 1


@pytest.mark.parametrize(("link", "flows"), [("dependent", True), ("detached", False), ("independent", False)])
def test_classification_reaches_the_mask_head_only_through_the_link(
    small: ModelSettings, link: str, flows: bool
) -> None:
    settings = model_settings("tiny", network={"link": link})
    network = build_network(settings, 0)
    network(torch.randn(2, 6, 32, 24)).slice_logits.sum().backward()
    gradient = network.mask_head.weight.grad
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) is flows


def test_independent_does_not_see_the_mask() -> None:
    logits = torch.randn(2, 6, 8, 8)
    assert len(set(seen_by_classifier(logits, "independent").flatten().tolist())) == 1
    assert seen_by_classifier(logits, "detached").equal(logits)


def test_a_slice_does_not_depend_on_its_batch(small: ModelSettings) -> None:
    network = build_network(small, 0)
    slices = torch.randn(4, 6, 32, 24)
    with torch.inference_mode():
        together, alone = network(slices).slice_logits[1], network(slices[1:2]).slice_logits[0]
    assert torch.allclose(together, alone, atol=1e-5)


def test_same_seed_same_weights_and_the_global_generator_untouched(small: ModelSettings) -> None:
    before = torch.get_rng_state()
    first, second = flat_weights(build_network(small, 3)), flat_weights(build_network(small, 3))
    assert first.tobytes() == second.tobytes()
    assert flat_weights(build_network(small, 4)).tobytes() != first.tobytes()
    assert torch.get_rng_state().equal(before)


def test_statistics_of_a_flat_mask_by_hand() -> None:
    statistics = mask_statistics(torch.zeros(1, 6, 10, 10)) / 0.3
    largest, top, mean, soft_maximum, area = statistics.view(5, 6)[:, 0].tolist()
    assert (largest, top, mean) == (0, 0, 0)
    assert soft_maximum == pytest.approx(0, abs=1e-6)
    assert area == pytest.approx(3.914, abs=1e-3)  # log(100 * 0.5 + 0.1)


@pytest.mark.parametrize("slices", [1, 3, 400])
@pytest.mark.parametrize("head", ["log-sum-exp", "gru-attention"])
def test_a_study_of_any_length_gets_one_score_a_class(head: str, slices: int) -> None:
    network = build_network(model_settings("tiny", network={"study_head": head}), 0)
    logits = network.study_logits(torch.randn(1, slices, 64), torch.randn(1, slices, 6))
    assert logits.shape == (1, 6)
    assert torch.isfinite(logits).all()
