"""Where training runs, and in which precision."""

import pytest
import torch

from bloodnet_model.device import autocast, best_device, free_memory, has_fast_bfloat16, new_scaler
from bloodnet_model.errors import NoGpu

CPU = torch.device("cpu")
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def test_a_cpu_can_be_demanded_anywhere() -> None:
    assert best_device("cpu") == CPU


@without_gpu
def test_a_gpu_that_is_not_there_is_refused_with_what_to_do() -> None:
    assert best_device("auto") == best_device() == CPU
    with pytest.raises(NoGpu, match=r"`device: gpu` is set, and PyTorch finds no GPU; install .*or set `device: auto`"):
        best_device("gpu")
    assert NoGpu.code == "no-gpu"


def test_a_cpu_computes_in_bfloat16_where_it_has_it_and_in_float32_elsewhere() -> None:
    with autocast(CPU):
        result = torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3))
    assert result.dtype == (torch.bfloat16 if has_fast_bfloat16(CPU) else torch.float32)
    assert not new_scaler(CPU).is_enabled()


def test_a_cpus_memory_is_not_asked_for() -> None:
    assert free_memory(CPU) is None
