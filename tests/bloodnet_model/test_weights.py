from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bloodnet_model.errors import SettingsError, WeightsError
from bloodnet_model.network import BloodNet, build_network
from bloodnet_model.settings import PRESETS, Link, ModelSettings, Norm, model_settings
from bloodnet_model.weights import (
    by_parameter,
    decoder_positions,
    flat_from_parameters,
    flat_weights,
    load_network,
    norm_positions,
    save_network,
    set_flat_weights,
)


def test_flat_weights_go_round(small: ModelSettings) -> None:
    source, target = build_network(small, 1), build_network(small, 2)
    set_flat_weights(target, flat_weights(source))
    assert flat_weights(target).tobytes() == flat_weights(source).tobytes()


def on_paper(**network: str) -> BloodNet:
    """A network of shapes alone."""
    preset = network.pop("preset")
    with torch.device("meta"):
        return build_network(model_settings(preset, network=network), 0)


@pytest.mark.parametrize("norm", get_args(Norm))
@pytest.mark.parametrize("preset", PRESETS)
def test_the_decoder_lies_in_one_piece(preset: str, norm: str) -> None:
    slices = set()
    for link in get_args(Link):
        network = on_paper(preset=preset, norm=norm, link=link)
        own = [*network.decoder.parameters(), *network.mask_head.parameters()]
        where = decoder_positions(network)
        assert where.stop - where.start == sum(part.numel() for part in own)
        slices.add((where.start, where.stop))
    assert len(slices) == 1


@pytest.mark.parametrize("norm", get_args(Norm))
def test_the_decoders_positions_hold_its_weights(norm: str) -> None:
    network = build_network(model_settings("tiny", network={"norm": norm, "norm_from": 16}), 0)
    before = flat_weights(network)
    with torch.no_grad():
        for parameter in (*network.decoder.parameters(), *network.mask_head.parameters()):
            parameter.add_(1)
    changed = np.flatnonzero(flat_weights(network) != before)
    assert changed.tolist() == list(range(*decoder_positions(network).indices(len(before))))


@pytest.mark.parametrize("norm", get_args(Norm))
def test_the_norms_positions_hold_all_that_norms_have(norm: str) -> None:
    network = build_network(model_settings("tiny", network={"norm": norm}), 0)
    before = flat_weights(network)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.GroupNorm | torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for module in norms:
            for part in (*module.parameters(), *(buffer for buffer in module.buffers() if buffer.is_floating_point())):
                part.add_(1)
    changed = flat_weights(network) != before
    assert changed.sum() == len(norms) * 64 * (2 if norm == "group" else 4)
    assert norm_positions(network).tolist() == changed.tolist()


def test_a_network_without_norms_has_none_to_keep() -> None:
    with pytest.raises(SettingsError, match=r"network\.norm_from: no layer is that wide"):
        norm_positions(build_network(model_settings("tiny", network={"norm_from": 1000}), 0))


def test_one_tensor_a_parameter_and_back() -> None:
    network = build_network(model_settings("tiny", network={"norm": "batch"}), 0)
    flat = flat_weights(network)
    tensors = by_parameter(network, flat)
    assert all(mine.equal(its) for mine, its in zip(tensors, network.parameters(), strict=True))
    back = flat_from_parameters(network, tensors)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert len(back) == len(flat) > count
    assert back[:count].tobytes() == flat[:count].tobytes()
    assert not back[count:].any()  # running statistics have no gradient


def test_another_length_is_refused(small: ModelSettings) -> None:
    with pytest.raises(WeightsError, match=r"shape \(3,\)"):
        set_flat_weights(build_network(small, 1), np.zeros(3, np.float32))


def test_a_saved_network_reads_back_with_its_settings(small: ModelSettings, tmp_path: Path) -> None:
    network = build_network(small, 1)
    save_network(tmp_path / "a.safetensors", network, small)
    save_network(tmp_path / "b.safetensors", network, small)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded, settings = load_network(tmp_path / "a.safetensors")
    assert settings == small
    assert flat_weights(loaded).tobytes() == flat_weights(network).tobytes()


def test_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_text("no model")
    with pytest.raises(WeightsError, match=r"x\.safetensors: is not a readable safetensors file .*save_file"):
        load_network(tmp_path / "x.safetensors")


def test_tensors_of_another_preset_are_named(small: ModelSettings, tmp_path: Path) -> None:
    other = build_network(model_settings("tiny", network={"widths": (16, 32, 128)}), 0)
    save_network(tmp_path / "x.safetensors", other, small)
    with pytest.raises(WeightsError, match=r"describe\.weight is \(64, 318\) there and \(64, 190\) here and"):
        load_network(tmp_path / "x.safetensors")


def test_a_missing_tensor_is_named(small: ModelSettings, tmp_path: Path) -> None:
    save_network(tmp_path / "x.safetensors", build_network(small, 0), small)
    tensors = load_file(tmp_path / "x.safetensors")
    del tensors["classify.bias"]
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        header = file.metadata()
    save_file(tensors, tmp_path / "x.safetensors", header)
    with pytest.raises(WeightsError, match=r"classify\.bias is missing"):
        load_network(tmp_path / "x.safetensors")


def test_running_statistics_travel_too() -> None:
    settings = model_settings("tiny", network={"norm": "batch"})
    source, target = build_network(settings, 0), build_network(settings, 1)
    source(torch.randn(4, 6, 32, 24))
    set_flat_weights(target, flat_weights(source))
    for network in (source, target):
        network.eval()
    slices = torch.randn(2, 6, 32, 24)
    assert source(slices).slice_logits.equal(target(slices).slice_logits)
