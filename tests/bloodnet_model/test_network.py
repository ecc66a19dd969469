from typing import get_args

import pytest
import torch

from bloodnet_model.errors import DataError
from bloodnet_model.network import BloodNet, build_network, mask_statistics, seen_by_classifier, shown_to_oracle
from bloodnet_model.settings import Link, ModelSettings, model_settings
from bloodnet_model.weights import flat_weights

LINKS = get_args(Link)


def parameters(network: BloodNet) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_shapes(small: ModelSettings) -> None:
    output = build_network(small, 0)(torch.zeros(5, 6, 32, 24))
    assert output.mask_logits.shape == (5, 6, 16, 12)
    assert output.slice_logits.shape == (5, 6)


def test_base_is_the_network_of_25_million_parameters() -> None:
    assert 24.5e6 < parameters(build_network(model_settings("base"), 0)) < 25.5e6


def test_the_link_changes_no_parameter() -> None:
    counts = {parameters(build_network(model_settings("tiny", network={"link": link}), 0)) for link in LINKS}
    assert len(LINKS) == 7
    assert len(counts) == 1


@pytest.mark.parametrize("link", LINKS)
def test_classification_teaches_the_head_that_its_link_names(link: str) -> None:
    network = build_network(model_settings("tiny", network={"link": link}), 0)
    masks = torch.zeros(4, 6, 16, 12)
    network(torch.randn(4, 6, 32, 24), masks).slice_logits.sum().backward()
    taught = {
        name
        for name, head in (("mask", network.mask_head), ("attention", network.attention_head))
        if head.weight.grad is not None and bool(head.weight.grad.abs().sum() > 0)
    }
    expected = {"dependent": {"mask"}, "shuffled": {"mask"}, "attention": {"attention"}}
    assert taught == expected.get(link, set())


def test_what_the_classifier_sees() -> None:
    mask, attention = torch.randn(2, 6, 8, 8), torch.randn(2, 6, 8, 8)
    true = torch.tensor([0.0, 0.5, 1.0]).repeat_interleave(2).view(1, 6, 1, 1).expand(2, 6, 8, 8)
    assert seen_by_classifier("dependent", mask, attention) is mask
    assert seen_by_classifier("detached", mask, attention).equal(mask)
    assert seen_by_classifier("attention", mask, attention) is attention
    assert seen_by_classifier("shuffled", mask, attention).equal(mask[[1, 0]])
    for link in ("independent", "single"):
        assert len(set(seen_by_classifier(link, mask, attention).flatten().tolist())) == 1
    assert seen_by_classifier("oracle", mask, attention, true)[0, :, 0, 0].tolist() == [-4, -4, 0, 0, 4, 4]
    with pytest.raises(DataError, match="true masks"):
        seen_by_classifier("oracle", mask, attention)


def test_in_training_a_shuffled_mask_is_that_of_another_study() -> None:
    studies = torch.arange(4).repeat_interleave(6).view(-1, 1, 1, 1).float()  # four studies of six slices each
    assert (seen_by_classifier("shuffled", studies, studies) != studies).all()


def test_only_the_oracle_is_shown_masks_and_none_that_nobody_drew() -> None:
    masks, known = torch.ones(2, 6, 4, 4), torch.tensor([1.0, 0.0])
    assert shown_to_oracle(build_network(model_settings("tiny"), 0), masks, known) is None
    shown = shown_to_oracle(build_network(model_settings("tiny", network={"link": "oracle"}), 0), masks, known)
    assert shown is not None
    assert shown[:, 0, 0, 0].tolist() == [1.0, 0.5]


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("mask_channels", [1, 6])
def test_norms_and_mask_channels(norm: str, mask_channels: int) -> None:
    settings = model_settings("tiny", network={"norm": norm, "mask_channels": mask_channels})
    network = build_network(settings, 0)
    kinds = {type(module).__name__ for module in network.modules() if "Norm" in type(module).__name__}
    assert kinds == {{"group": "GroupNorm", "batch": "BatchNorm2d"}[norm]}
    output = network(torch.randn(3, 6, 32, 24))
    assert output.mask_logits.shape == (3, mask_channels, 16, 12)
    assert output.slice_logits.shape == (3, 6)


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
    assert (largest, top, mean) == (3, 3, 3)  # above the uniform map, whose logits are -3
    assert soft_maximum == pytest.approx(3, abs=1e-6)
    assert area == pytest.approx(2.3366, abs=1e-4)  # log(100 / 2 + 0.1) - log(100 / (1 + e^3) + 0.1)


def test_a_uniform_map_says_nothing() -> None:
    """Zeros: what the classifier of `independent` is told of the mask."""
    uniform = seen_by_classifier("independent", torch.randn(2, 6, 12, 8), torch.zeros(2, 6, 12, 8))
    assert torch.allclose(mask_statistics(uniform), torch.zeros(2, 30), atol=1e-5)


@pytest.mark.parametrize("slices", [1, 3, 400])
@pytest.mark.parametrize("head", ["log-sum-exp", "gru-attention"])
def test_a_study_of_any_length_gets_one_score_a_class(head: str, slices: int) -> None:
    network = build_network(model_settings("tiny", network={"study_head": head}), 0)
    logits = network.study_logits(torch.randn(1, slices, 64), torch.randn(1, slices, 6))
    assert logits.shape == (1, 6)
    assert torch.isfinite(logits).all()
