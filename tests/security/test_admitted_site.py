"""What an admitted site can do at a real SuperLink in the name of another, and who else can play the SuperLink."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.proto.fleet_pb2 import DeactivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, PullObjectRequest, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from httpx import ConnectError, HTTPStatusError

from client.keys import make_node_key, public_key
from server.certificates import AUTHORITY, make_authority
from server.launch import superlink
from simulation.engines.loopback import HOST, free_ports, start_superlink
from simulation.engines.programs import programs
from tests.client.test_node import answers
from tests.processes import wait_until

pytestmark = pytest.mark.slow

WAYS: dict[str, Callable[[FleetHttpClient, int], object]] = {
    "read its messages": lambda link, node: link.PullMessages(PullMessagesRequest(node=Node(node_id=node))),
    "answer": lambda link, node: link.PushMessages(PushMessagesRequest(node=Node(node_id=node))),
    "read an object": lambda link, node: link.PullObject(PullObjectRequest(node=Node(node_id=node))),
    "send an object": lambda link, node: link.PushObject(PushObjectRequest(node=Node(node_id=node))),
    "confirm": lambda link, node: link.ConfirmMessageReceived(ConfirmMessageReceivedRequest(node=Node(node_id=node))),
    "read a run": lambda link, node: link.GetRun(GetRunRequest(node=Node(node_id=node))),
    "read a bundle": lambda link, node: link.GetFab(GetFabRequest(node=Node(node_id=node))),
    "say that it lives": lambda link, node: link.SendNodeHeartbeat(
        SendNodeHeartbeatRequest(node=Node(node_id=node), heartbeat_interval=30)
    ),
    "say that it goes": lambda link, node: link.DeactivateNode(DeactivateNodeRequest(node_id=node)),
}


@dataclass(frozen=True)
class Admitted:
    """What site-b has to speak to the SuperLink, with its own number and that of site-a, which nobody tells it."""

    client: FleetHttpClient
    own: int
    other: int
    folder: Path
    port: int


@pytest.fixture(scope="module")
def admitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admitted]:
    folder = tmp_path_factory.mktemp("admitted")
    (port,) = free_ports(1)
    with programs(folder) as started, superlink(start_superlink(folder / "keys", port, started)) as link:
        wait_until(lambda: answers(link))
        for site in ("site-a", "site-b"):
            make_node_key(folder / site)
            link.register(public_key(folder / site), site)
        numbers = {node.name: node.number for node in link.nodes()}
        client = client_of(folder / "site-b", port, folder / "keys" / AUTHORITY)
        yield Admitted(client, numbers["site-b"], numbers["site-a"], folder, port)
        client.close()


def client_of(key_file: Path, port: int, authority: Path, host: str = HOST) -> FleetHttpClient:
    key = load_ssh_private_key(key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    ways: list[ProtobufClientInterceptor] = [
        RuntimeVersionHttpInterceptor(component_name="SuperNode"),
        NodeAuthHttpInterceptor(key, key.public_key()),
    ]
    return FleetHttpClient.from_server_address(f"{host}:{port}", False, authority.read_bytes(), ways)


def outcome(way: str, site: Admitted, node: int) -> int:
    try:
        WAYS[way](site.client, node)
    except HTTPStatusError as error:
        return error.response.status_code
    return 200


@pytest.mark.parametrize("way", WAYS)
def test_a_site_can_do_nothing_with_the_number_of_another(way: str, admitted: Admitted) -> None:
    assert outcome(way, admitted, admitted.other) == 401
    assert outcome(way, admitted, 0) == 401
    assert outcome(way, admitted, admitted.own) != 401  # it is the number that is refused


def test_a_site_speaks_to_nobody_with_another_certificate(admitted: Admitted, tmp_path: Path) -> None:
    """Who sits in between has one of another authority, or one for another name."""
    make_authority(tmp_path, "of somebody in between")
    key, right = admitted.folder / "site-b", admitted.folder / "keys" / AUTHORITY
    for authority, host in ((tmp_path / AUTHORITY, HOST), (right, "localhost")):
        client = client_of(key, admitted.port, authority, host)
        with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            WAYS["read its messages"](client, admitted.own)
        client.close()
