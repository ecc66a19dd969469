"""The device a site trains on, the precision that is fast there, and what it has memory for."""

from contextlib import AbstractContextManager
from typing import Final

import torch

from bloodnet_model.errors import NoGpu
from bloodnet_model.settings import DeviceChoice

NO_GPU: Final = (
    "`device: gpu` is set, and PyTorch finds no GPU; install PyTorch with CUDA, give the container its GPU "
    "(`--gpus all`), or set `device: auto`."
)


def best_device(choice: DeviceChoice = "auto") -> torch.device:
    """The first GPU, or the CPU where there is none or none is wanted; raises NoGpu where one is demanded."""
    if choice != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", 0)  # a share of memory can only be set for one that is numbered
    if choice == "gpu":
        raise NoGpu(NO_GPU)
    return torch.device("cpu")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 convolutions are native there; emulated, they are slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where it is fast; elsewhere float32 on a CPU, and float16 on a GPU, for which `new_scaler` is there."""
    fast = has_fast_bfloat16(device)
    return torch.autocast(device.type, torch.bfloat16 if fast else torch.float16, enabled=fast or device.type == "cuda")


def new_scaler(device: torch.device) -> torch.amp.GradScaler:
    """Scales the loss so that gradients are not lost in float16; does nothing where `autocast` takes another type."""
    return torch.amp.GradScaler(device.type, enabled=device.type == "cuda" and not has_fast_bfloat16(device))


def free_memory(device: torch.device) -> int | None:
    """Bytes that PyTorch can still take on a GPU, what it has taken and not in use among them; None for a CPU."""
    if device.type != "cuda":
        return None
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
