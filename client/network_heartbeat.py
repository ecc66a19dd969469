"""A first heartbeat by Flower's own requests: whether the coordinator knows this site's key, and what its clock says.

The node is connected for a moment only, so it is not asked to train. A node of this site that runs is not disturbed.
"""

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from ssl import SSLContext
from typing import Final

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL, SYSTEM_TIME_TOLERANCE, TIMESTAMP_TOLERANCE
from flwr.proto.fleet_pb2 import ActivateNodeRequest, DeactivateNodeRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufClientInterceptor, ProtobufRequestContext
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from client.findings import Finding
from client.network_route import Route

AHEAD_LIMIT_S: Final = SYSTEM_TIME_TOLERANCE
BEHIND_LIMIT_S: Final = TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE
"""Flower refuses a request that was signed later than this from now, or longer ago."""
_AHEAD_WARNING_S, _BEHIND_WARNING_S = 2.0, 60.0


@dataclass(frozen=True)
class Heartbeat:
    """status: of the answer to the site's key, 0 where there is none, and then `failure` says why
    ahead_s: how far this machine's clock is before the coordinator's, to about a second; None where no answer is dated
    seconds: until the first heartbeat was answered
    """

    status: int
    failure: str
    ahead_s: float | None
    seconds: float


def first_heartbeat(route: Route, context: SSLContext, key: Path, seconds: float) -> Heartbeat:
    """Connect by the site's key, send one heartbeat, and disconnect; no answer may take longer than `seconds`."""
    private = load_ssh_private_key(key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)  # `supernode_command` has looked
    public, dates, started, failure = private.public_key(), _Dates(), time.monotonic(), ""
    ways: list[ProtobufClientInterceptor] = [NodeAuthHttpInterceptor(private, public), dates]
    with FleetHttpClient(f"https://{route.authority}", interceptors=ways, verify=context, timeout=seconds) as client:
        try:
            request = ActivateNodeRequest(
                public_key=public_key_to_bytes(public), heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL
            )
            node = client.ActivateNode(request).node_id
            try:
                client.SendNodeHeartbeat(
                    SendNodeHeartbeatRequest(node=Node(node_id=node), heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL)
                )
            finally:
                client.DeactivateNode(DeactivateNodeRequest(node_id=node))
        except httpx.HTTPStatusError:
            pass  # `dates` has its status
        except (httpx.HTTPError, ValueError) as error:
            failure = type(error).__name__
    return Heartbeat(0 if failure else dates.status, failure, dates.ahead_s, time.monotonic() - started)


class _Dates:
    """Sees what each answer's head says: its status, and the time at the coordinator."""

    def __init__(self) -> None:
        self.status = 0
        self.ahead_s: float | None = None

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        before_s = time.time()
        response = call_next(context)
        self.status = response.status_code
        dated = response.headers.get("date")
        if dated:
            here_s = (before_s + time.time()) / 2
            self.ahead_s = here_s - (parsedate_to_datetime(dated).timestamp() + 0.5)  # whole seconds, rounded down
        return response


def on_clock(ahead_s: float) -> Finding | None:
    """What is wrong with this machine's clock, if anything."""
    way = f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the coordinator's"
    limits = f"{AHEAD_LIMIT_S} s ahead or {BEHIND_LIMIT_S} s behind"
    if ahead_s > AHEAD_LIMIT_S or -ahead_s > BEHIND_LIMIT_S:
        return Finding(
            "problem",
            "clock-off",
            f"This machine's clock is {way}, and from {limits} on every request is refused; let NTP set it, and ask "
            "the coordinator if yours is right.",
        )
    if ahead_s > _AHEAD_WARNING_S or -ahead_s > _BEHIND_WARNING_S:
        return Finding(
            "warning",
            "clock-drifts",
            f"This machine's clock is {way}; from {limits} on every request is refused. Let NTP set it.",
        )
    return None


def on_admission(heartbeat: Heartbeat, site: str, admission: str) -> Finding | None:
    """What the coordinator answered to the site's key, if it was not yes."""
    status = heartbeat.status
    if status == HTTPStatus.OK:
        return None
    if status == HTTPStatus.PRECONDITION_FAILED:
        return Finding(
            "warning",
            "not-admitted",
            f"The coordinator has not admitted this key yet: send {admission}, and check again when it has. If it has "
            f"admitted {site} already, its node is running, or was killed within the last minute.",
        )
    if status == HTTPStatus.UNAUTHORIZED:
        return Finding(
            "problem",
            "key-refused",
            "The coordinator does not take what this site's key has signed; ask whether it is really BloodNet's "
            "coordinator that answers, and whether something on the way changes requests.",
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Finding(
            "problem",
            "coordinator-down",
            f"The way is open, and the coordinator is down behind its door (HTTP {status}); tell the coordinator. A "
            "node that is started now waits for it.",
        )
    if heartbeat.failure:
        return Finding(
            "problem",
            "no-answer",
            f"TLS is open, and a request within it is not answered ({heartbeat.failure}): something on the way holds "
            "it back, or the coordinator hangs; tell the coordinator first, then the network team.",
        )
    return Finding(
        "problem",
        "no-coordinator",
        f"What answers is no BloodNet coordinator (HTTP {status}); ask the coordinator for address and port.",
    )
