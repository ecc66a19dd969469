"""The machine, and how much of it a site may use."""

from pathlib import Path

import pytest
import torch

from bloodnet_model.errors import NoGpu
from client.machine import GIB, memory_bytes, processor_name, this_machine, within_limits
from client.site_settings import SiteSettings
from client.workers import usable_cores


def allowing(**limits: object) -> SiteSettings:
    return SiteSettings.model_validate({"name": "a", "dicom": ("dicom",), **limits})


@pytest.mark.parametrize(
    ("threads", "cores", "expected"), [(2, 1, 1), (2, None, 2), (1, None, 1), (1, 8, 1), (2, 8, 2)]
)
def test_threads_are_lowered_to_the_sites_cores_and_never_raised(
    threads: int, cores: int | None, expected: int
) -> None:
    torch.set_num_threads(threads)
    with within_limits(allowing(cores=cores)):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == threads


def test_threads_are_given_back_after_an_error() -> None:
    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="of the site"), within_limits(allowing(cores=1)):
        raise ValueError("of the site")
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_demanded_and_not_there_stops_the_work() -> None:
    with pytest.raises(NoGpu), within_limits(allowing(device="gpu")):
        pass
    with within_limits(allowing(device="auto", gpu_memory_share=0.5)):
        pass


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_share_of_the_gpus_memory_is_all_that_a_site_takes() -> None:
    half = torch.cuda.get_device_properties(0).total_memory // 2
    with within_limits(allowing(gpu_memory_share=0.5)), pytest.raises(torch.OutOfMemoryError):
        torch.empty(half + GIB, dtype=torch.uint8, device="cuda")
    with within_limits(allowing()):
        torch.empty(half + GIB, dtype=torch.uint8, device="cuda")


def test_a_machine_is_what_the_site_may_use_of_it(tmp_path: Path) -> None:
    machine = this_machine(tmp_path / "not" / "yet", allowing(cores=1, device="cpu"))
    assert (machine.cores, machine.gpu, machine.idle_gpu) == (1, "", False)
    assert machine.free_bytes > 0
    assert this_machine(tmp_path, allowing()).cores == usable_cores(None)


def test_a_containers_limit_counts_where_it_is_less() -> None:
    assert memory_bytes(8, ["max\n", ""]) == 8
    assert memory_bytes(8, ["4\n", "6"]) == 4
    assert memory_bytes(0, ["4"]) == 4
    assert memory_bytes(0, []) == 0


def test_a_processors_name_is_read_from_linux() -> None:
    assert processor_name("processor : 0\nmodel name\t: Some  CPU @ 2 GHz\nmodel name : other\n") == "Some CPU @ 2 GHz"
    assert processor_name("") == ""
