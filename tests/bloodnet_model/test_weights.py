from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bloodnet_model.errors import WeightsError
from bloodnet_model.network import build_network
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.weights import flat_weights, load_network, save_network, set_flat_weights


def test_flat_weights_go_round(small: ModelSettings) -> None:
    source, target = build_network(small, 1), build_network(small, 2)
    set_flat_weights(target, flat_weights(source))
    assert flat_weights(target).tobytes() == flat_weights(source).tobytes()


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
