"""The machine a site trains on: processor, memory, GPU, and the disk its cache lies on."""

import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from bloodnet_model.device import best_device, has_fast_bfloat16
from bloodnet_model.errors import DataError
from client.site_settings import SiteSettings
from client.workers import usable_cores

GIB: Final = 1 << 30

_CPU_FILE: Final = Path("/proc/cpuinfo")
_DRIVER_FILE: Final = Path("/proc/driver/nvidia/version")
_LIMIT_FILES: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container's memory limit stands: control groups of version 2, and of version 1."""


@dataclass(frozen=True)
class Machine:
    """What there is to work with.

    cores:        that the site may use
    memory_bytes: of the machine, or of the container if that is less; 0 where nobody says
    gpu:          name of the one that is used; empty where it is the processor
    idle_gpu:     an NVIDIA driver is loaded, and PyTorch finds no GPU that it can use
    bfloat16:     whether the device that is used has it natively, so that training takes it
    free_bytes:   on the disk of the cache folder
    """

    processor: str
    cores: int
    memory_bytes: int
    gpu: str
    gpu_memory_bytes: int
    idle_gpu: bool
    bfloat16: bool
    free_bytes: int


def this_machine(cache: Path, settings: SiteSettings) -> Machine:
    """Looks at this machine as far as `settings` allow its use; `cache` need not exist yet."""
    device = best_device("cpu" if settings.device == "cpu" else "auto")
    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return Machine(
        processor=processor_name(_text(_CPU_FILE)) or platform.processor() or platform.machine(),
        cores=usable_cores(settings.cores),
        memory_bytes=memory_bytes(_physical_bytes(), [_text(path) for path in _LIMIT_FILES]),
        gpu=gpu.name if gpu else "",
        gpu_memory_bytes=gpu.total_memory if gpu else 0,
        idle_gpu=gpu is None and settings.device != "cpu" and _DRIVER_FILE.exists(),
        bfloat16=has_fast_bfloat16(device),
        free_bytes=free_bytes(cache),
    )


@contextmanager
def within_limits(settings: SiteSettings) -> Iterator[None]:
    """No more threads and GPU memory than site.yaml allows; raises NoGpu where it demands what is not there.

    Threads are never raised: whoever started this process with fewer, as the local engine does, had a reason.
    """
    device, threads = best_device(settings.device), torch.get_num_threads()
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(settings.gpu_memory_share or 1.0, device)
    torch.set_num_threads(min(threads, settings.cores or threads))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def processor_name(cpuinfo: str) -> str:
    """From the text of Linux's /proc/cpuinfo; empty where it has no name."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def memory_bytes(physical: int, limits: list[str]) -> int:
    """The machine's memory, or what a container is allowed of it; a limit reads `max` where there is none."""
    allowed = [int(text) for text in map(str.strip, limits) if text.isdigit()]
    return min([physical, *allowed]) if physical else min(allowed, default=0)


def free_bytes(folder: Path) -> int:
    """Free on the disk where `folder` lies or will lie; raises DataError where nobody can say."""
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        return shutil.disk_usage(there).free
    except OSError as error:
        raise DataError(f"{there}: its free space cannot be told ({error.strerror}); mount it anew.") from None


def size_in_words(count: int) -> str:
    """Bytes as a person reads them: `1.3 GiB`, `40 MiB`."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / (1 << 20):.0f} MiB"


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on this system
        return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
