"""When a node asks whether there is something to do."""

import subprocess
from collections.abc import Callable
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from client.receiving import Starter, eager


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


def test_an_app_that_was_killed_before_it_began_is_started_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = ["", "", "its-token"]  # that of a killed one is given again when its lease is over

    def acquired(_: object) -> SimpleNamespace:
        if not tokens:
            Event().wait()  # it would go on for ever
        return SimpleNamespace(token=tokens.pop(0))

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as told:
        monkeypatch.setattr(Starter, "_ready", lambda _: told)
        starter = Starter("127.0.0.1:1")
        monkeypatch.setattr(starter, "_client", SimpleNamespace(AcquireTask=acquired))
        Thread(target=starter.start_again, args=(0.0,), daemon=True).start()
        assert told.stdout is not None
        assert told.stdout.readline() == "its-token\n"
