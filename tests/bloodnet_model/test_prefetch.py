"""Batches made one ahead: the same ones in the same order, and never more than one."""

import threading
from collections.abc import Iterator

import pytest
import torch

from bloodnet_model.batches import Batch
from bloodnet_model.prefetch import batches_ahead, one_ahead


def test_results_come_in_order_and_one_is_under_way() -> None:
    asked: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(5):
            asked.append(task)
            yield task

    made: list[int] = []

    def make(task: int) -> tuple[int, int]:
        made.append(task)
        return task * task, threading.get_ident()

    done = []
    for result in one_ahead(make, tasks()):
        done.append(result[0])
        assert result[1] != threading.get_ident()
        assert len(asked) == min(len(done) + 1, 5)
    assert done == [0, 1, 4, 9, 16]
    assert made == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [0, 1])
def test_few_tasks(count: int) -> None:
    assert list(one_ahead(str, range(count))) == [str(task) for task in range(count)]


def test_an_error_comes_in_its_turn() -> None:
    results = one_ahead(lambda task: 1 / task, [2, 1, 0, 4])
    assert [next(results), next(results)] == [0.5, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_finds_no_memory_beside_the_work_is_made_again_when_its_turn_has_come() -> None:
    mine = threading.get_ident()

    def make(task: int) -> int:
        if task == 2 and threading.get_ident() != mine:
            raise torch.OutOfMemoryError
        return task

    assert list(one_ahead(make, range(4))) == [0, 1, 2, 3]


def test_a_consumer_that_stops_leaves_no_thread() -> None:
    before = threading.active_count()
    results = one_ahead(str, range(100))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_on_a_cpu_no_thread_competes_with_the_step() -> None:
    def make(value: int) -> Batch:
        here = torch.tensor(float(threading.get_ident()))
        return Batch(torch.tensor(float(value)), here, here, here, here)

    batches = list(batches_ahead(make, range(3), torch.device("cpu")))
    assert [int(batch.slices) for batch in batches] == [0, 1, 2]
    assert {float(batch.masks) for batch in batches} == {float(make(0).masks)}
