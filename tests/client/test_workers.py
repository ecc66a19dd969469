"""Work over several processes: in order, and alive after one of them has died."""

import os
import signal

import pytest

from client.workers import ordered_map, usable_cores


def square(value: int) -> int:
    return value * value


def square_or_die(value: int) -> int:
    if value in (5, 17):
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value


def refuse(value: int) -> int:
    raise ValueError(f"not {value}")


@pytest.mark.parametrize(("cores", "worth"), [(1, 0), (2, 100), (2, 1)])
def test_results_come_in_the_order_of_the_tasks(cores: int, worth: int) -> None:
    assert list(ordered_map(square, range(12), cores, worth)) == [(n, n * n) for n in range(12)]


def test_few_tasks_are_done_here() -> None:
    pids = {pid for _, pid in ordered_map(_pid, range(5), 2, 6)}
    assert pids == {os.getpid()}


def _pid(_: int) -> int:
    return os.getpid()


def test_a_process_that_dies_costs_its_task_alone() -> None:
    results = dict(ordered_map(square_or_die, range(20), 2, 1))
    assert results == {n: None if n in (5, 17) else n * n for n in range(20)}


def test_an_error_of_the_function_is_the_callers() -> None:
    with pytest.raises(ValueError, match="not 0"):
        list(ordered_map(refuse, range(5), 2, 1))


def test_cores_are_limited_and_never_more_than_there_are() -> None:
    assert usable_cores(1) == 1
    assert usable_cores(10_000) == usable_cores(None) >= 1
