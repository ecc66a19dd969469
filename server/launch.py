"""Runs on a SuperLink, through its Control API: what `flwr run` and `flwr ls` do, for our own commands."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Final

import click
import httpx
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
    load_ssh_public_key,
)
from flwr.cli.flower_config import read_superlink_connection
from flwr.cli.typing import SuperLinkConnection
from flwr.common.constant import Status, SubStatus
from flwr.common.serde import fab_to_proto, run_from_proto, user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.error import FlowerError
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.run import RunStatus
from flwr.supercore.utils import get_flwr_home
from rich.console import Console

from bloodnet_model.errors import RoundError, SettingsError
from server.app import OUT
from server.console import round_sentence
from server.run_folder import ROUNDS
from strategies.bundle import app_bundle

_ONLINE, _UNREGISTERED = "online", "unregistered"
_POLL_S: Final = 1.0
_RESUMABLE: Final = "What it has done is in its journal, and it can be resumed."
_FAILED: Final = "ServerApp failed with exception: "
"""What Flower puts before the text of our own error."""


class NoAnswer(RoundError):
    """Nobody answers where a SuperLink should be."""


@dataclass(frozen=True)
class Node:
    """A SuperNode as the SuperLink knows it.

    public_key: one OpenSSH line
    since:      when it connected, or went; ISO 8601, empty where it never has connected
    """

    number: int
    name: str
    public_key: str
    online: bool
    since: str


class SuperLink:
    """A SuperLink that may be asked; every method raises RoundError where it does not answer or refuses."""

    def __init__(self, name: str, address: str, client: ControlHttpClient) -> None:
        self.name, self._address, self._client = name, address, client

    def register(self, public_key: str, site: str) -> None:
        """Let in the SuperNode with this key, an OpenSSH line; it is known as `site` from now on."""
        pem = load_ssh_public_key(public_key.encode()).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with self._answering():
            self._client.RegisterNode(RegisterNodeRequest(public_key=pem, name=site))

    def unregister(self, number: int) -> None:
        """Let in a SuperNode no longer; its key can never be registered again."""
        with self._answering():
            self._client.UnregisterNode(UnregisterNodeRequest(node_id=number))

    def nodes(self) -> list[Node]:
        """The SuperNodes that are let in."""
        with self._answering():
            known = self._client.ListNodes(ListNodesRequest()).nodes_info
        return [_node(node) for node in known if node.status != _UNREGISTERED]

    def online(self) -> set[str]:
        """Sites whose SuperNode is connected."""
        return {node.name for node in self.nodes() if node.online}

    def running(self) -> dict[int, Path]:
        """The runs of this SuperLink that are not over, and the run folders that they write to."""
        with self._answering():
            runs = map(run_from_proto, self._client.ListRuns(ListRunsRequest()).run_dict.values())
        going = [run for run in runs if run.status.status != Status.FINISHED]
        return {run.run_id: Path(str(run.override_config.get(OUT, ""))).resolve() for run in going}

    def run_in(self, folder: Path) -> int | None:
        """A run that is not over and writes to the run folder `folder`."""
        return next((number for number, out in self.running().items() if out == folder.resolve()), None)

    def start(self, config: Mapping[str, str | int | float | bool]) -> int:
        """Start a run of this installation's app; returns its number."""
        config = {key.replace("_", "-"): value for key, value in config.items()}  # as pyproject.toml spells them
        content = app_bundle()
        fab = Fab(sha256(content).hexdigest(), content, {})
        request = StartRunRequest(fab=fab_to_proto(fab), override_config=user_config_to_proto(config))
        with self._answering():
            answer = self._client.StartRun(request)
        if not answer.HasField("run_id"):
            raise RoundError(f"{self.name}: did not start the run; its log says why.")
        return int(answer.run_id)

    def stop(self, run: int) -> None:
        """End a run; what it has done is in its journal."""
        with self._answering():
            stopped = self._client.StopRun(StopRunRequest(run_id=run)).success
        if not stopped:
            raise RoundError(f"{self.name}: run {run} could not be stopped; it may be over.")

    def status(self, run: int) -> RunStatus:
        """Where a run is, in Flower's words, and why it failed if it did."""
        with self._answering():
            return run_from_proto(self._client.ListRuns(ListRunsRequest(run_id=run)).run_dict[run]).status

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPStatusError as error:
            told = FlowerError.from_json(error.response.text)
            why = told.message if told else f"HTTP {error.response.status_code}; its log says why"
            raise RoundError(f"{self.name}: refuses: {why}") from None
        except httpx.HTTPError as error:
            raise NoAnswer(
                f"{self.name}: no SuperLink answers at {self._address} ({error}); start it by "
                f"`bloodnet-server up`, or mend the address where {self.name} is described."
            ) from None


def _node(told: NodeInfo) -> Node:
    key = load_pem_public_key(told.public_key).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    online = told.status == _ONLINE
    since = told.last_activated_at if online else told.last_deactivated_at or told.last_activated_at
    return Node(told.node_id, told.name, key.decode(), online, since)


@contextmanager
def superlink(connection: SuperLinkConnection) -> Iterator[SuperLink]:
    """The SuperLink of a connection; raises SettingsError where its certificate cannot be read."""
    certificate = connection.root_certificates
    try:
        trusted = Path(certificate).read_bytes() if certificate else None
    except OSError as error:
        raise SettingsError(f"{certificate}: cannot be read ({error.strerror}); mend {flower_config()}.") from None
    address = str(connection.address)
    client = ControlHttpClient.from_server_address(
        address, connection.insecure, trusted, [RuntimeVersionHttpInterceptor(component_name="flwr CLI")]
    )
    try:
        yield SuperLink(str(connection.name), address, client)
    finally:
        client.close()


def connection_named(name: str | None) -> SuperLinkConnection:
    """Connection `name` of Flower's config.toml, or its default one; raises SettingsError where there is none."""
    try:
        with redirect_stdout(StringIO()):  # Flower makes the file where there is none, and says so
            connection = read_superlink_connection(name)
    except (click.ClickException, ValueError):
        connection = None
    if connection is None or not connection.address or connection.address.startswith(":"):
        told = f"--federation {name}:" if name else "--federation is not given, and Flower's default"
        where = f"{flower_config()}; add [superlink.NAME] with its address and root-certificates"
        raise SettingsError(f"{told} is no SuperLink in {where}.")
    return connection


def flower_config() -> Path:
    """Where Flower's own commands look for connections."""
    return get_flwr_home() / "config.toml"


def watch(
    link: SuperLink, run: int, out: Path, rounds: int, console: Console, look: Callable[[], None] = lambda: None
) -> None:
    """Say each of the `rounds` of a run as soon as it lies in the run folder `out`; raises RoundError where it fails.

    look: is called between two looks at the run, while it goes on

    The log of Flower's that `flwr log` shows has the same sentences among Flower's own, and lags behind.
    """
    shown = set(_round_lines(out))
    while True:
        try:
            status = link.status(run)  # asked first: what was written before the end is then shown, too
        except NoAnswer as error:
            raise NoAnswer(f"{error} {_RESUMABLE}") from None
        for line in _round_lines(out):
            if line not in shown:
                shown.add(line)
                console.print(round_sentence(json.loads(line), rounds), highlight=False)
        if status.status == Status.FINISHED:
            break
        look()
        time.sleep(_POLL_S)
    if status.sub_status == SubStatus.STOPPED:
        raise RoundError(f"Run {run} was stopped. {_RESUMABLE}")
    if status.sub_status != SubStatus.COMPLETED:
        raise RoundError(_why(run, status.details))


def _why(run: int, details: str) -> str:
    """Our own error's text; Flower's words for what befell the app are no sentence."""
    if details.startswith(_FAILED):
        return details.removeprefix(_FAILED)
    return f"Run {run} failed{f' ({details})' if details else ''}. {_RESUMABLE}"


def _round_lines(out: Path) -> list[str]:
    try:
        return (out / ROUNDS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
