"""How the SuperLink's requests come to Flower's layers of middleware."""

import asyncio

import pytest
from flwr.superlink import extensions, main
from starlette.types import Message, Receive, Scope, Send

from server.coordinator.superlink import OUTERMOST
from server.coordinator.whole_bodies import WholeBodies

HTTP: Scope = {"type": "http"}


def seen_by_app(sent: list[Message], asked: int = 1) -> list[Message]:
    """What an app is handed that asks `asked` times, where the server has `sent`."""
    seen: list[Message] = []

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        seen.extend([await receive() for _ in range(asked)])

    async def receive() -> Message:
        return sent.pop(0)

    async def send(_: Message) -> None:
        pass

    asyncio.run(WholeBodies(app)(HTTP, receive, send))
    return seen


def piece(body: bytes, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize("cuts", [[b"weights"], [b"wei", b"ghts"], [b"", b"w", b"", b"eights", b""]])
def test_a_body_comes_in_one_piece(cuts: list[bytes]) -> None:
    sent = [piece(cut, more=n + 1 < len(cuts)) for n, cut in enumerate(cuts)]
    assert seen_by_app(sent) == [piece(b"weights", more=False)]


def test_of_a_request_that_is_broken_off_nothing_is_handed_on_but_that_it_was() -> None:
    gone: Message = {"type": "http.disconnect"}
    assert seen_by_app([piece(b"wei", more=True), gone]) == [gone]
    assert seen_by_app([piece(b"weights", more=False), gone], asked=2)[1] == gone


def test_flower_asks_for_what_stands_before_its_own() -> None:
    assert getattr(extensions, OUTERMOST)() == ()
    assert vars(main)["extensions"] is extensions
    assert OUTERMOST in main._get_middleware.__code__.co_names
