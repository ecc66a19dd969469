import pytest
import torch
from torch import nn

from bloodnet_model.doubling import cheaper
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.settings import ModelSettings, model_settings


def trained_like(settings: ModelSettings) -> BloodNet:
    """A network none of whose parts is idle or as drawn: biases and norms too."""
    network = build_network(settings, 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def convolutions(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, nn.ConvTranspose2d)]


@torch.inference_mode()
@pytest.mark.parametrize(
    ("preset", "network"),
    [("tiny", {}), ("small", {}), ("tiny", {"norm": "batch", "norm_from": 1, "neighbours": 0, "mask_channels": 1})],
)
def test_the_cheaper_network_is_the_same_function(preset: str, network: dict[str, object]) -> None:
    grid = {"rows": 64, "columns": 32, "spacing_mm": 4.0}
    settings = model_settings(preset, preprocessing=grid, network=network)
    plain = trained_like(settings)
    state = torch.get_rng_state()
    fast = cheaper(plain, settings)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(convolutions(fast)) == len(settings.network.decoder_widths)
    channels = plain.conv1.in_channels
    slices = torch.randn(3, channels, grid["rows"], grid["columns"], generator=torch.Generator().manual_seed(2))  # type: ignore[call-overload]
    for ours, theirs in zip(fast(slices), plain(slices), strict=True):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, atol=1e-4, rtol=1e-4)
        assert theirs.abs().max() > 0.1


def test_a_grid_that_does_not_halve_evenly_keeps_its_network() -> None:
    settings = model_settings("small", preprocessing={"rows": 40, "columns": 32, "spacing_mm": 6.0})
    network = trained_like(settings)
    assert cheaper(network, settings) is network
