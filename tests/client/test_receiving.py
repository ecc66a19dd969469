"""When a node asks whether there is something to do."""

from collections.abc import Callable

import pytest

from client.receiving import eager


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
