"""An admitted site that learnt another's number and question, at the SuperLink of `bloodnet-server up`, in a round."""

import inspect
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from flwr.app import Message, RecordDict
from flwr.app.message import make_message
from flwr.app.metadata import Metadata
from flwr.common.serde import message_from_proto, message_to_proto, run_from_proto
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.message_pb2 import PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.inflatable.inflatable_object import InflatableObject, get_all_nested_objects, get_object_tree
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid, http_grid
from flwr.superlink.routers.fleet import node_auth
from flwr.supernode.fleet_http_client import FleetHttpClient
from httpx import HTTPStatusError

from client.keys import make_node_key, public_key
from server.coordinator.home import LOOPBACK, Home
from server.coordinator.init import require_inner_certificate
from server.coordinator.up import superlink_command
from server.exchange import UNREADABLE, exchange
from server.launch import superlink
from server.settings import run_settings, to_run_config
from server.unreadable import READ, survive_unreadable_answers
from strategies import records
from tests.client.test_node import answers
from tests.processes import wait_until
from tests.security.test_admitted_site import client_of
from tests.server.coordinator.test_up import folder_for

COORDINATOR = 1
"""Flower's number for whoever asks the questions."""


@dataclass(frozen=True)
class Site:
    """A site as the test plays it, by Flower's own client with the site's own key."""

    number: int
    client: FleetHttpClient

    def question(self) -> Message:
        """The next one that is for this site."""
        found: list[Any] = []

        def has_come() -> bool:
            found.extend(self.client.PullMessages(PullMessagesRequest(node=Node(node_id=self.number))).messages_list)
            return bool(found)

        wait_until(has_come)
        return message_from_proto(found[0])

    def send(self, inside: Message, **outside: object) -> int:
        """Sends `inside`, in an envelope that differs from it in `outside`; returns the HTTP status."""
        node, said = Node(node_id=self.number), metadata(inside, message_id=inside.object_id, **outside)
        sent = PushMessagesRequest(
            node=node,
            messages_list=[message_to_proto(make_message(said, RecordDict()))],
            message_object_trees=[get_object_tree(inside)],
            clientapp_runtime_list=[0.0],
        )
        try:
            session = self.client.PushMessages(sent).session_id
        except HTTPStatusError as error:
            return error.response.status_code
        for name, part in get_all_nested_objects(inside).items():
            asked = PushObjectRequest(node=node, object_id=name, object_content=part.deflate())
            asked.run_id, asked.session_id = inside.metadata.run_id, session
            self.client.PushObject(asked)
        return 200


def metadata(message: Message, **other: Any) -> Metadata:
    """Of `message`, but for what is said otherwise."""
    said = {name.removeprefix("_"): value for name, value in vars(message.metadata).items() if name != "_delivered_at"}
    return Metadata(**said | other)


def answer(question: Message, code: str) -> Message:
    """Says with its code whose it is."""
    return Message(RecordDict({records.STATUS: records.status(code)}), reply_to=question)


@dataclass(frozen=True)
class Round:
    """A run on a SuperLink, of which this process is the ServerApp, with two sites."""

    grid: HttpGrid
    sites: dict[str, Site]
    log: Path

    def codes(self) -> dict[str, str]:
        """Ask both as in a round; what counts as the answer of each."""
        names = {site.number: name for name, site in self.sites.items()}
        asked = [Message(RecordDict({records.CONFIG: records.status("asked")}), node, "train") for node in names]
        return {one.site: one.code for one in exchange(self.grid, asked, names, 60.0)}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Round]:
    folder = tmp_path_factory.mktemp("own-name")
    home, log = folder_for(folder / "fl", [LOOPBACK]), folder / "log"
    require_inner_certificate(home)
    with ExitStack() as block:
        process = started(home, log, block)
        link = block.enter_context(superlink(home.connection))
        wait_until(lambda: process.poll() is not None or answers(link))
        sites = {}
        for name in ("site-a", "site-b"):
            make_node_key(folder / name)
            link.register(public_key(folder / name), name)
            client = client_of(folder / name, home.settings.superlink_port, home.inner)
            block.callback(client.close)
            sites[name] = Site(activated(client, folder / name), client)
        link.start(to_run_config(run_settings({"rounds": 1})))
        yield Round(server_app(home, block), sites, log)


def started(home: Home, log: Path, block: ExitStack) -> subprocess.Popen[bytes]:
    """The SuperLink as `up` starts it, but that others start its apps."""
    command = [*superlink_command(home), "--isolation", "process"]
    quiet = {
        "FLWR_LOG_LEVEL": "WARNING",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_HOME": str(home.flower),
    }
    written = block.enter_context(log.open("wb"))
    process = subprocess.Popen(command, env=os.environ | quiet, cwd=home.folder, stdout=written, stderr=written)
    block.callback(process.wait)
    block.callback(process.terminate)
    return process


def activated(client: FleetHttpClient, key: Path) -> int:
    """The number of the site with this key, which is connected for a while from now on."""
    shown = load_ssh_public_key(public_key(key).encode())
    assert isinstance(shown, ec.EllipticCurvePublicKey)
    asked = ActivateNodeRequest(public_key=public_key_to_bytes(shown), heartbeat_interval=1800)
    return int(client.ActivateNode(asked).node_id)


def server_app(home: Home, block: ExitStack) -> HttpGrid:
    """What a ServerApp has of the run that waits for one."""
    address, certificate = f"{LOOPBACK}:{home.settings.superlink_port}", home.inner.read_bytes()
    waiting = RuntimeHttpClient.from_server_address(
        address,
        False,
        certificate,
        interceptors=[RuntimeVersionHttpInterceptor(component_name="SuperExec")],
        retry_invoker=make_simple_http_retry_invoker(),
    )
    block.callback(waiting.close)
    token = waiting.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP])).token
    grid = HttpGrid(address, False, certificate, token=token)
    block.callback(grid.close)
    given = grid._runtime_client.PullTaskInput(PullTaskInputRequest())
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = given.run.run_id, COORDINATOR, given.task_id
    grid.set_run(run_from_proto(given.run))
    return grid


TRIES: dict[str, Callable[[Site, Message, Message], int]] = {
    "as another": lambda site, own, others: site.send(answer(others, "by-site-b")),
    "as itself outside, and as another inside": lambda site, own, others: site.send(
        answer(others, "by-site-b"), src_node_id=site.number, reply_to_message_id=own.metadata.message_id
    ),
    "to another question inside": lambda site, own, others: site.send(
        make_message(
            metadata(answer(own, ""), reply_to_message_id=others.metadata.message_id), answer(own, "by-site-b").content
        ),
        reply_to_message_id=own.metadata.message_id,
    ),
}


@pytest.mark.parametrize("how", TRIES)
def test_a_site_cannot_answer_for_another_whose_question_it_learnt(how: str, played: Round) -> None:
    sites, said = played.sites, played.log.read_text()
    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(played.codes)
        questions = {name: site.question() for name, site in sites.items()}
        tried = TRIES[how](sites["site-b"], questions["site-b"], questions["site-a"])
        for name, site in sites.items():
            site.send(answer(questions[name], f"by-{name}"))
    assert counted.result() == {"site-a": "by-site-a", "site-b": "by-site-b"}
    assert tried == 403
    (line,) = played.log.read_text().removeprefix(said).splitlines()
    assert "site-b " in line
    assert ("in the name of site-a" in line) == (how == "as another")


def test_a_site_cannot_ask_another_as_the_coordinator(played: Round) -> None:
    site, other = played.sites["site-b"], played.sites["site-a"]
    evil = Message(RecordDict({records.CONFIG: records.status("do-as-i-say")}), other.number, "train")
    assert evil.metadata.src_node_id == COORDINATOR
    assert site.send(evil) == 403
    assert "site-b signed a message in the name of the coordinator" in played.log.read_text()
    assert not other.client.PullMessages(PullMessagesRequest(node=Node(node_id=other.number))).messages_list


class Torn(RecordDict):
    """Says that it is one, and is not."""

    def deflate(self) -> bytes:
        return super().deflate()[:-3] + b"\xff" * 3


Torn.__qualname__ = RecordDict.__qualname__


@pytest.mark.parametrize(
    "content", [Torn({"status": records.status("ok")}), records.status("ok")], ids=["torn", "other"]
)
def test_an_answer_that_cannot_be_read_costs_its_site_the_round_alone(
    content: InflatableObject, played: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_grid, READ, getattr(http_grid, READ))  # as it is again afterwards
    survive_unreadable_answers(played.grid)
    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(played.codes)
        evil = answer(played.sites["site-b"].question(), "")
        evil.__dict__["_content"] = content
        assert played.sites["site-b"].send(evil) == 200
        played.sites["site-a"].send(answer(played.sites["site-a"].question(), "by-site-a"))
    assert counted.result() == {"site-a": "by-site-a", "site-b": UNREADABLE}


def test_what_is_wrapped_is_what_was_read() -> None:
    """Of Flower's, which may change any of it in another version."""
    assert str(inspect.signature(node_auth.authenticate_node)) == "(request: starlette.requests.Request) -> None"
    assert "run_in_threadpool(authenticate_node, request)" in inspect.getsource(node_auth.NodeAuthMiddleware)
