from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from bloodnet_model.errors import WeightsError
from bloodnet_model.network import build_network
from bloodnet_model.pretrained import start_from
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.weights import flat_weights, save_network

RESNET_34 = (3, 4, 6, 3)


def resnet_state_dict(blocks: tuple[int, ...] = RESNET_34, stages: int = 4) -> dict[str, Tensor]:
    """Names and shapes of the common ResNet-18 and -34 state dicts (He et al.), with weights of its own."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), "fc.weight": (1000, 512), "fc.bias": (1000,)}
    norms = {"bn1": 64}
    before = 64
    for stage, width in enumerate((64, 128, 256, 512)[:stages], start=1):
        for block in range(blocks[stage - 1]):
            place = f"layer{stage}.{block}"
            shapes[f"{place}.conv1.weight"] = (width, before if block == 0 else width, 3, 3)
            shapes[f"{place}.conv2.weight"] = (width, width, 3, 3)
            norms |= {f"{place}.bn1": width, f"{place}.bn2": width}
            if block == 0 and width != before:
                shapes[f"{place}.downsample.0.weight"] = (width, before, 1, 1)
                norms[f"{place}.downsample.1"] = width
        before = width
    for name, width in norms.items():
        shapes |= {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_a_resnet_34_starts_the_whole_encoder_of_base(tmp_path: Path) -> None:
    tensors = resnet_state_dict()
    save_file(tensors, tmp_path / "resnet34.safetensors")
    network = build_network(model_settings("base"), 0)
    start = start_from(network, tmp_path / "resnet34.safetensors")
    fresh = {name.partition(".")[0] for name in start.fresh}
    assert fresh == {"decoder", "mask_head", "attention_head", "describe", "classify", "study_head"}
    assert {name.partition(".")[0] for name in start.unused if "running" not in name} == {"fc"}
    assert network.get_parameter("layer4.2.conv2.weight").equal(tensors["layer4.2.conv2.weight"])
    sentence = "108 tensors loaded; fresh: decoder, mask_head, describe, classify, study_head, attention_head; "
    assert start.sentence() == sentence + "in the file for nothing: fc, running statistics"


def test_the_first_convolution_answers_a_grey_image_as_before(tmp_path: Path) -> None:
    tensors = resnet_state_dict()
    save_file(tensors, tmp_path / "resnet34.safetensors")
    network = build_network(model_settings("base"), 0)
    start_from(network, tmp_path / "resnet34.safetensors")
    grey = torch.randn(1, 1, 32, 32)
    colours = torch.nn.functional.conv2d(grey.expand(-1, 3, -1, -1), tensors["conv1.weight"])
    ours = torch.nn.functional.conv2d(grey.expand(-1, 9, -1, -1), network.conv1.weight)
    assert torch.allclose(colours, ours, atol=1e-4)


def test_an_earlier_model_starts_everything(small: ModelSettings, tmp_path: Path) -> None:
    earlier, network = build_network(small, 1), build_network(small, 2)
    save_network(tmp_path / "model.safetensors", earlier, small)
    start = start_from(network, tmp_path / "model.safetensors")
    assert flat_weights(network).tobytes() == flat_weights(earlier).tobytes()
    assert (start.fresh, start.unused) == ((), ())


def test_weights_of_another_architecture_name_the_layers_and_change_nothing(tmp_path: Path) -> None:
    save_file(resnet_state_dict(), tmp_path / "resnet34.safetensors")
    network = build_network(model_settings("small"), 0)
    before = flat_weights(network).tobytes()
    with pytest.raises(WeightsError, match=r"conv1\.weight is \(64, 3, 7, 7\) there and \(32, 9, 7, 7\) here.* more;"):
        start_from(network, tmp_path / "resnet34.safetensors")
    assert flat_weights(network).tobytes() == before


def test_what_holds_no_encoder_is_refused(small: ModelSettings, tmp_path: Path) -> None:
    save_file({"something.weight": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match=r"holds no conv1\.weight"):
        start_from(build_network(small, 0), tmp_path / "x.safetensors")


def test_pickled_weights_are_not_read(small: ModelSettings, tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet34.pth")
    with pytest.raises(WeightsError, match=r"pickled weights are not read"):
        start_from(build_network(small, 0), tmp_path / "resnet34.pth")
