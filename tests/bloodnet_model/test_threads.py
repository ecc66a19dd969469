import threading

import pytest
import torch

from bloodnet_model.threads import in_threads


def test_parts_are_done_at_once_each_on_one_core_and_come_back_in_order() -> None:
    torch.set_num_threads(2)
    together = threading.Barrier(3, timeout=20)

    def work(part: int) -> tuple[int, int]:
        together.wait()  # broken unless three threads are here
        return part, torch.get_num_threads()

    assert in_threads(work, [5, 1, 4], cores=3) == [(5, 1), (1, 1), (4, 1)]


def test_one_core_or_one_part_needs_no_thread() -> None:
    here = threading.get_ident()
    assert in_threads(lambda _: threading.get_ident(), [1, 2], cores=1) == [here, here]
    assert in_threads(lambda _: threading.get_ident(), [1], cores=4) == [here]


def test_what_a_part_raises_is_raised() -> None:
    def fail(part: int) -> int:
        if part == 2:
            raise MemoryError
        return part

    with pytest.raises(MemoryError):
        in_threads(fail, [1, 2, 3], cores=2)
