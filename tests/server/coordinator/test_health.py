"""What a container's health check asks, of servers that show real certificates."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from server.coordinator.health import silent
from server.coordinator.home import LOOPBACK, CoordinatorSettings, Home
from server.coordinator.init import initialise

BOTH = ("the SuperLink", "nginx")


@contextmanager
def answering(status: int, certificate: Path) -> Iterator[int]:
    """The port of a server with a certificate, which knows `/health` alone."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with ThreadingHTTPServer((LOOPBACK, 0), Answer) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # of a client that trusts it not
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "shown", "found"),
    [
        (200, "own", ()),
        (503, "own", BOTH[:1]),
        (200, "another", BOTH),  # an authority's that hospitals do not know
    ],
)
def test_both_answer_as_hospitals_and_runs_need_it(
    status: int, shown: str, found: tuple[str, ...], tmp_path: Path
) -> None:
    homes = {name: initialise(tmp_path / name, ["fl.example.org"], 443).home for name in ("own", "another")}
    with ExitStack() as block:
        certificates = (homes[shown].inner, homes[shown].certificate)
        superlink, door = (block.enter_context(answering(status, certificate)) for certificate in certificates)
        told = CoordinatorSettings(hosts=("fl.example.org",), port=door, superlink_port=superlink)
        assert silent(Home(homes["own"].folder, told)) == found
    assert silent(Home(homes["own"].folder, told)) == BOTH  # nobody listens any more
