"""What may stand where a site looks for its coordinator: small real servers on loopback, wrong as a test says."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as formats
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flwr.proto.fleet_pb2 import ActivateNodeResponse, DeactivateNodeResponse
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatResponse
from google.protobuf.message import Message  # type: ignore[import-untyped]

HOST = "127.0.0.1"
Serve = Callable[[socket.socket], None]


@contextmanager
def door(serve: Serve) -> Iterator[int]:
    """Each connection is served in a thread of its own; gives the port."""
    with socket.create_server((HOST, 0)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield int(listening.getsockname()[1])
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


@contextmanager
def full_door() -> Iterator[int]:
    """A port that answers nobody any more, as where a firewall drops packets: its queue is full."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen(0)
        held = []
        for _ in range(4):  # one is taken into the queue, of the others Linux drops the first packet
            held.append(socket.socket())
            held[-1].setblocking(False)
            held[-1].connect_ex(listening.getsockname())
        yield int(listening.getsockname()[1])
        for one in held:
            one.close()


def silent(connection: socket.socket) -> None:
    """Takes everything and answers nothing."""
    while connection.recv(4096):
        pass


def cut(connection: socket.socket) -> None:
    """Ends the connection as soon as something is said."""
    connection.recv(1)


def ssh(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    silent(connection)


def plain_http(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@dataclass
class Certificates:
    """An authority, and certificates by it; `folder` holds ca.crt."""

    folder: Path
    name: str = "BloodNet test"
    _key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        own = self._builder(self.name, self._key.public_key(), 3650)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._write("ca.crt", own.sign(self._key, hashes.SHA256()).public_bytes(formats.Encoding.PEM))

    def server(self, host: str = HOST, days: float = 300, since_days: float = 1) -> ssl.SSLContext:
        """What a server shows: a certificate for `host`, valid for so many more days."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        builder = self._builder(host, key.public_key(), days, since_days)
        shown = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        pem = shown.sign(self._key, hashes.SHA256()).public_bytes(formats.Encoding.PEM)
        secret = key.private_bytes(formats.Encoding.PEM, formats.PrivateFormat.PKCS8, formats.NoEncryption())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._write("server.pem", pem + secret))
        return context

    def _builder(
        self, subject: str, key: ec.EllipticCurvePublicKey, days: float, since_days: float = 1
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=since_days))
            .not_valid_after(now + timedelta(days=days))
        )

    def _write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path


@dataclass
class Coordinator:
    """Speaks HTTP/1.1 as the door and the SuperLink behind it: answers a node's requests with `status`.

    ahead_s: how far its clock is before ours
    asked:   the paths, in order
    """

    context: ssl.SSLContext
    status: int = 200
    ahead_s: float = 0.0
    hangs: bool = False
    asked: list[str] = field(default_factory=list)

    def __call__(self, connection: socket.socket) -> None:
        with self.context.wrap_socket(connection, server_side=True) as safe, safe.makefile("rb") as lines:
            while first := lines.readline():
                head = [line.decode().strip() for line in iter(lines.readline, b"\r\n") if line]
                length = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length"))
                lines.read(length)
                self.asked.append(first.split()[1].decode().removeprefix("/v1/fleet/"))
                if self.hangs:
                    silent(safe)
                safe.sendall(self._answer(self.asked[-1]))

    def _answer(self, path: str) -> bytes:
        answers: dict[str, Message] = {
            "activate-node": ActivateNodeResponse(node_id=7),
            "send-node-heartbeat": SendNodeHeartbeatResponse(success=True),
            "deactivate-node": DeactivateNodeResponse(),
        }
        body: bytes = answers[path].SerializeToString()
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=self.ahead_s), usegmt=True)
        head = f"HTTP/1.1 {self.status} X\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


@dataclass
class Proxy:
    """Answers CONNECT with `status`, and if that is 200 carries on to the port that it was asked for, on loopback."""

    status: int = 200
    asked: list[str] = field(default_factory=list)

    def __call__(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        self.asked.append(head.decode())
        connection.sendall(f"HTTP/1.1 {self.status} Said so\r\n\r\n".encode())
        if self.status == 200:
            port = int(head.split()[1].rpartition(b":")[2])
            with socket.create_connection((HOST, port)) as there:
                threading.Thread(target=carry, args=(there, connection), daemon=True).start()
                carry(connection, there)


def carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(1 << 16):
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
