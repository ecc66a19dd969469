"""Detours around slow kernels: the same results, in whatever layout of memory."""

import pytest
import torch
from torch import nn

from bloodnet_model.layers import GroupNorm, in_its_own_type, joined

LAYOUTS = [torch.channels_last, torch.contiguous_format]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 64, 11, 9), (2, 128, 6, 5), (2, 64, 40, 32)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_group_norm_is_that_of_pytorch_and_keeps_the_layout(
    layout: torch.memory_format, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    ours, theirs = GroupNorm(8, shape[1]).to(dtype), nn.GroupNorm(8, shape[1]).to(dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.copy_(its.copy_(torch.randn(its.shape, generator=generator)))
    x = torch.randn(shape, generator=generator).to(dtype).contiguous(memory_format=layout)
    gradient = torch.randn(shape, generator=generator).to(dtype).contiguous(memory_format=layout)
    gradients = []
    for norm in (ours, theirs):
        seen = x.clone().requires_grad_()
        result = norm(seen)
        result.backward(gradient)
        gradients.append([result, seen.grad, *(parameter.grad for parameter in norm.parameters())])
        assert result.is_contiguous(memory_format=layout)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    for mine, its in zip(*gradients, strict=True):
        assert (mine - its).norm() < tolerance * its.norm()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_joined_maps_are_a_concatenation_with_dense_gradients(layout: torch.memory_format) -> None:
    upper, skip = torch.randn(2, 3, 4, 5), torch.randn(2, 2, 4, 5)
    leaves = [part.contiguous(memory_format=layout).requires_grad_() for part in (upper, skip)]
    parts = [leaf * 1 for leaf in leaves]
    for part in parts:
        part.register_hook(lambda gradient: gradients.append(gradient))  # type: ignore[no-untyped-call]
    gradients: list[torch.Tensor] = []
    whole = joined(*parts)
    assert whole.equal(torch.cat([upper, skip], 1))
    weight = torch.randn(whole.shape).contiguous(memory_format=layout)
    (whole * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert leaves[0].grad is not None
    assert leaves[1].grad is not None
    assert torch.cat([leaves[0].grad, leaves[1].grad], 1).equal(weight)
    assert len(gradients) == 2
    assert all(gradient.is_contiguous(memory_format=layout) for gradient in gradients)


def test_joined_maps_that_need_no_gradient() -> None:
    maps = torch.randn(2, 3, 4, 5)
    assert joined(maps, maps).equal(torch.cat([maps, maps], 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_a_gpu_is_given_for_a_group_norm_keeps_its_type_and_is_that_of_float32(dtype: torch.dtype) -> None:
    norm, x = nn.GroupNorm(8, 64), torch.randn(2, 64, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1, 2, 64))
        norm.bias.copy_(torch.linspace(1, -1, 64))
    with torch.autocast("cpu", torch.bfloat16):
        normed = in_its_own_type(norm, x)
    expected = norm(x.float())
    assert normed.dtype == dtype
    assert (normed - expected).norm() < (1e-6 if dtype == torch.float32 else 5e-3) * expected.norm()
