"""A relay that stands between the sites and the coordinator, shows the coordinator's own certificate, and keeps every
byte that passes as it was before TLS."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from server.certificates import SERVER_KEY
from server.coordinator.home import LOOPBACK, Home

_BLOCK = 1 << 16


class Relay:
    """What went to the coordinator and what came from it; a stream for each connection, so that nothing is torn."""

    def __init__(self, home: Home) -> None:
        self._there = home.settings.port
        self._as_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._as_server.load_cert_chain(home.certificate, home.keys / SERVER_KEY)
        self._as_client = ssl.create_default_context(cafile=home.authority)
        self._sent: list[bytearray] = []
        self._received: list[bytearray] = []
        self._loop, self._ended, self._ready = asyncio.new_event_loop(), asyncio.Event(), Event()
        self.port = 0

    @property
    def sent(self) -> bytes:
        """By the sites."""
        return b"\n\n".join(map(bytes, self._sent))

    @property
    def received(self) -> bytes:
        """By the sites, from the coordinator."""
        return b"\n\n".join(map(bytes, self._received))

    def run(self) -> None:
        """Until `end` is called, from another thread."""
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)

    def wait(self) -> None:
        """Until it listens at `port`."""
        assert self._ready.wait(60)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._join, LOOPBACK, 0, ssl=self._as_server)
        self.port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        async with server:
            await self._ended.wait()
        joined = asyncio.all_tasks() - {asyncio.current_task()}
        for task in joined:
            task.cancel()
        await asyncio.gather(*joined, return_exceptions=True)

    async def _join(self, site: asyncio.StreamReader, to_site: asyncio.StreamWriter) -> None:
        sent, received = bytearray(), bytearray()
        self._sent.append(sent)
        self._received.append(received)
        with suppress(OSError):
            coordinator, to_coordinator = await asyncio.open_connection(LOOPBACK, self._there, ssl=self._as_client)
            await asyncio.gather(_pump(site, to_coordinator, sent), _pump(coordinator, to_site, received))


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, kept: bytearray) -> None:
    with suppress(OSError):
        while block := await source.read(_BLOCK):
            kept += block
            target.write(block)
            await target.drain()
    target.close()


@contextmanager
def relay(home: Home) -> Iterator[Relay]:
    opened = Relay(home)
    thread = Thread(target=opened.run, daemon=True)
    thread.start()
    opened.wait()
    try:
        yield opened
    finally:
        opened.end()
        thread.join(30)


def found(token: str, content: bytes) -> list[str]:
    """Where `token` stands in `content`, in any case, as UTF-8, UTF-16, hexadecimal or Base64: what is around it."""
    lower = content.lower()
    spelled = [token.encode(), token.encode("utf-16-le"), token.encode("utf-16-be"), token.encode().hex().encode()]
    places = [(lower, one, lower.find(one)) for one in spelled]
    places += [(content, one, content.find(one)) for one in _in_base64(token.encode())]
    return [repr(where[max(0, at - 80) : at + 120]) for where, _, at in places if at >= 0]


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """The letters that stand for `raw` and nothing else, wherever in a longer text it begins."""
    for before in range(3):
        letters = b64encode(bytes(before) + raw)
        yield letters[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]


def files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file in a folder, with its own path before its content."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path, str(path.relative_to(folder)).encode() + b"\n" + path.read_bytes()
