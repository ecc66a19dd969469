"""What becomes of a node's requests, on real sockets, by Flower's own client and its own way of trying again."""

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.supernode import fleet_http_connection
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from client.connection import Connection, watch_requests
from client.network_tls import node_context
from tests.client.doors import HOST, Certificates, Coordinator, Serve, cut, door, silent

KEY = ec.generate_private_key(ec.SECP384R1())


@pytest.fixture
def changes() -> list[bool]:
    return []


@pytest.fixture
def connection(changes: list[bool], monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Watches what a node of this process would ask."""
    monkeypatch.setattr(fleet_http_connection, "NodeAuthHttpInterceptor", NodeAuthHttpInterceptor)
    connection = Connection(changes.append)
    watch_requests(connection)
    return connection


@pytest.fixture
def ours(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def asked(serve: Serve, folder: Path) -> Any:
    """As the node asks, and again while Flower would, three times at most; raises what Flower gives up at."""
    module: Any = fleet_http_connection
    invoker = make_simple_http_retry_invoker()
    invoker.max_tries, invoker.wait_function = 3, lambda _seconds: None
    with door(serve) as port:
        ways = [module.NodeAuthHttpInterceptor(KEY, KEY.public_key())]
        context = node_context(folder / "ca.crt")
        with FleetHttpClient(f"https://{HOST}:{port}", interceptors=ways, verify=context, timeout=0.7) as client:
            return invoker.invoke(client.ActivateNode, ActivateNodeRequest(heartbeat_interval=30))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "bloodnet.client"]


@pytest.fixture(autouse=True)
def all_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bloodnet.client")


def test_an_answer_is_a_connection(
    connection: Connection, changes: list[bool], ours: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    assert asked(Coordinator(ours.server()), ours.folder).node_id == 7
    assert changes == [True]
    assert said(caplog) == []


@pytest.mark.parametrize("status", [404, 429, 500, 502, 503])
def test_a_failure_that_may_pass_is_tried_again_and_said_once(
    connection: Connection, changes: list[bool], ours: Certificates, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    coordinator = Coordinator(ours.server(), status=status)
    with pytest.raises(httpx.HTTPStatusError):
        asked(coordinator, ours.folder)
    assert len(coordinator.asked) == 3
    coordinator.status = 200
    asked(coordinator, ours.folder)
    assert changes == [False, True]
    first, last = said(caplog)
    assert first == f"The coordinator does not answer (HTTP {status}); the node keeps trying"
    assert last.startswith("The coordinator answers again, after")
    assert last.endswith("attempts: 3")


@pytest.mark.parametrize("serve", [cut, silent])
def test_a_handshake_that_is_cut_or_hangs_is_tried_again(
    connection: Connection, changes: list[bool], ours: Certificates, serve: Serve
) -> None:
    """As by a proxy with nothing behind it. Flower alone would give up, for the failure's text has `ssl`."""
    attempts = []

    def counting(one: Any) -> None:
        attempts.append(one)
        serve(one)

    with pytest.raises(httpx.TransportError):
        asked(counting, ours.folder)
    assert len(attempts) == 3
    assert changes == [False]


def test_a_wrong_certificate_ends_a_node_that_starts_and_not_one_that_was_connected(
    connection: Connection, ours: Certificates, tmp_path: Path
) -> None:
    stranger = Coordinator(Certificates(tmp_path / "stranger", "Gateway").server())
    attempts = []

    def counting(one: Any) -> None:
        attempts.append(one)
        stranger(one)

    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        asked(counting, ours.folder)
    assert len(attempts) == 1
    asked(Coordinator(ours.server()), ours.folder)
    with pytest.raises(httpx.ConnectError):
        asked(counting, ours.folder)
    assert len(attempts) == 4
    assert stranger.asked == []


def test_an_outage_that_lasts_is_said_once_a_minute(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(0, 150, 10):
        monkeypatch.setattr("client.connection.time.monotonic", lambda now=second: float(now))
        connection.failed("refused")
    lines = said(caplog)
    assert len(lines) == 3
    assert lines[1].startswith("The coordinator has not answered since 2")
    assert lines[1].endswith("; attempts: 7 (refused)")
