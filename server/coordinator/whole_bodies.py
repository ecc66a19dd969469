"""What comes to the SuperLink is handed on whole.

Each of Flower's layers of middleware takes a request's body piece by piece, and makes a group of tasks for each piece:
weights come in hundreds of pieces. Of a round of three sites it was up to a fifth of the SuperLink's processor seconds.
"""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BODY: Final = "http.request"


class WholeBodies:
    """ASGI middleware, the outermost: the app asks once and has all of the body, as Flower wants it in the end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_whole() -> Message:
            pieces: list[bytes] = []
            while (message := await receive())["type"] == _BODY:
                pieces.append(message.get("body", b""))
                if not message.get("more_body", False):
                    return {"type": _BODY, "body": b"".join(pieces), "more_body": False}
            return message

        await self._app(scope, receive_whole, send)
