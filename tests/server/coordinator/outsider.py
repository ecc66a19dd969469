"""What one can try against a coordinator from another machine; run there, as a script, with the tries on stdin as JSON.

Each try gives its outcome: an HTTP status, or what went wrong before there was one.
"""

import http.client
import json
import socket
import ssl
import sys
import warnings
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from httpx import HTTPStatusError

Outcome = int | str
warnings.simplefilter("ignore", DeprecationWarning)  # of the versions of TLS that are tried


def ask(host: str, port: int, authority: str, method: str, path: str) -> Outcome:
    """One request over TLS, its path as it is; the protobuf body is empty."""
    context = ssl.create_default_context(cafile=authority)
    connection = http.client.HTTPSConnection(host, port, timeout=10, context=context)
    return _asked(connection, method, path)


def ask_plainly(host: str, port: int, method: str, path: str) -> Outcome:
    """One request without TLS."""
    return _asked(http.client.HTTPConnection(host, port, timeout=10), method, path)


def shake_hands(host: str, port: int, authority: str, version: str) -> Outcome:
    """A handshake with this version of TLS and no other, by a client that would take the weakest."""
    context = ssl.create_default_context(cafile=authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    try:
        with socket.create_connection((host, port), 10) as raw, context.wrap_socket(raw, server_hostname=host) as safe:
            return str(safe.version())
    except ssl.SSLError as error:
        return error.reason or "?"


def activate(host: str, port: int, authority: str, public_key: str, private_key: str) -> Outcome:
    """Connect as the site with the OpenSSH line `public_key`, signing with the key in the file `private_key`."""
    own, theirs = load_ssh_private_key(Path(private_key).read_bytes(), None), load_ssh_public_key(public_key.encode())
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    assert isinstance(theirs, ec.EllipticCurvePublicKey)
    ways: list[ProtobufClientInterceptor] = [
        RuntimeVersionHttpInterceptor(component_name="SuperNode"),
        NodeAuthHttpInterceptor(own, theirs),
    ]
    client = FleetHttpClient.from_server_address(f"{host}:{port}", False, Path(authority).read_bytes(), ways)
    try:
        client.ActivateNode(ActivateNodeRequest(public_key=public_key_to_bytes(theirs), heartbeat_interval=30))
    except HTTPStatusError as error:
        return error.response.status_code
    return 200


def _asked(connection: http.client.HTTPConnection, method: str, path: str) -> Outcome:
    try:
        connection.request(method, path, b"", {"Content-Type": "application/protobuf"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


def main() -> None:
    ways: dict[str, Any] = {way.__name__: way for way in (ask, ask_plainly, shake_hands, activate)}
    print(json.dumps([ways[way](*words) for way, *words in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
