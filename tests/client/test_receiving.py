"""When a node asks whether there is something to do."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from inspect import getsource, signature
from threading import Event, Thread
from types import SimpleNamespace

import pytest
import uvicorn
from flwr.supercore.constant import TaskType
from flwr.supercore.date import now
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supernode.main import create_app
from flwr.supernode.nodestate import InMemoryNodeState, NodeStateFactory

from client.guard import MODULE, PULL
from client.receiving import PULL_OBJECTS, SOON_S, TIME, Pauses, Starter, answer_at_once, eager, remembering
from simulation.engines.loopback import HOST, free_ports
from tests.processes import wait_until


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.receiving._POLL_S", 0.0)


def pulled(answers: list[int | None]) -> Callable[..., int | None]:
    return lambda **_: answers.pop(0)


def test_after_a_message_it_asks_until_there_is_another() -> None:
    messages: list[str] = []
    pull = eager(pulled([None, 5, None, None, 7]), lambda: messages.append("come"))
    assert pull() is None  # it has answered nothing yet, and asks as often as Flower does
    assert messages == []
    assert [pull(), pull()] == [5, 7]
    assert messages == ["come", "come"]


def test_where_nothing_comes_it_asks_no_more_often_than_flower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.receiving._EAGER_S", 0.0)
    answers: list[int | None] = [5, None, None, 7]
    pull = eager(pulled(answers), lambda: None)
    assert [pull(), pull()] == [5, None]
    assert answers == [None, 7]


def test_objects_of_the_message_before_do_not_come_again() -> None:
    asked: list[list[str]] = []

    def pull(names: list[str], initial_backoff: float) -> dict[str, bytes]:
        assert initial_backoff == SOON_S
        asked.append(names)
        return {name: name.encode() for name in names}

    pull_new = remembering(pull)
    pull_new(["plan 1", "weights"])
    found = pull_new(["plan 2", "weights"])
    assert found == {"plan 2": b"plan 2", "weights": b"weights"}
    found.clear()  # as Flower does
    assert pull_new(["weights", "plan 1"]) == {"weights": b"weights", "plan 1": b"plan 1"}
    assert asked == [["plan 1", "weights"], ["plan 2"], ["plan 1"]]


def test_the_first_looks_for_an_answer_follow_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("client.receiving.time", SimpleNamespace(sleep=slept.append))
    pauses = Pauses()
    pauses.sleep(0.5)
    pauses.shorten()
    for seconds in (3.0, *[0.5] * 201):  # of these, three seconds are between two questions to the coordinator
        pauses.sleep(seconds)
    assert slept == [0.5, 3.0, *[0.05] * 200, 0.5]


def test_flower_sleeps_by_nothing_else() -> None:
    """Of its `time`, nothing but `sleep` is used, which is all there is in its place."""
    assert set(re.findall(r"\btime\.\w+", getsource(import_module(MODULE)))) == {"time.sleep"}


def test_what_is_wrapped_takes_what_it_is_given() -> None:
    """Of Flower's, which may change it in another version."""
    assert {"object_ids", "initial_backoff"} <= signature(
        getattr(import_module(MODULE), PULL_OBJECTS)
    ).parameters.keys()


@contextmanager
def runtime_api(state_factory: NodeStateFactory) -> Iterator[str]:
    """Flower's own, at which a SuperNode's apps fetch what they are to do; its address, on loopback."""
    port = free_ports(1)[0]
    config = uvicorn.Config(create_app(state_factory), host=HOST, port=port, log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        assert server.started
        yield f"{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_an_app_that_was_killed_before_it_began_is_started_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    node = import_module(MODULE)
    for wrapped in (PULL, PULL_OBJECTS, TIME):
        monkeypatch.setattr(node, wrapped, getattr(node, wrapped))  # which is put back
    flower = NodeStateFactory(ObjectStoreFactory())
    state = flower.state()
    assert isinstance(state, InMemoryNodeState)
    task = state.create_task(TaskType.CLIENT_APP, 1)
    assert task is not None
    killed = state.claim_task(task)
    over = Event()

    def story() -> Iterator[None]:
        yield  # before the first look; the killed one's lease is not over yet
        state.task_token_store[task].active_until = now()
        yield
        over.set()
        Event().wait()  # it would go on for ever

    pauses = story()
    monkeypatch.setattr("client.receiving.time", SimpleNamespace(sleep=lambda _: next(pauses)))
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as told:
        monkeypatch.setattr(Starter, "_ready", lambda _: told)
        with runtime_api(flower) as address:
            answer_at_once(address)
            assert over.wait(60)
        started = told.communicate()[0].split()
        assert getattr(node, PULL_OBJECTS).__wrapped__
    assert len(started) == 1
    assert started != [killed]
    assert state.get_task_by_token(started[0]) == state.task_store[task]
