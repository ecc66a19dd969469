"""Machines of this machine: network namespaces, each on a cable of its own that can be slow, lossy or cut.

A cable is two TUN devices and a thread that carries IP packets between them, since not every kernel has netem.
"""

import fcntl
import os
import random
import struct
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from threading import Event, Thread
from typing import Final

COORDINATOR: Final = "10.83.0.1"
"""Of this machine, on the first cable; the others reach it by their own ends."""

_TUN: Final = Path("/dev/net/tun")
_SET_NAME: Final = 0x400454CA  # TUNSETIFF
_IP_WITHOUT_HEADER: Final = 0x0001 | 0x1000  # IFF_TUN | IFF_NO_PI
_LONGEST_PACKET: Final = 65536
_PATIENCE_S: Final = 0.2


@dataclass
class Cable:
    """The line of one machine; its state may be changed while packets travel.

    delay_s: of a packet, each way
    loss:    share of packets that vanish, each way
    """

    namespace: str
    delay_s: float = 0.0
    loss: float = 0.0
    is_cut: bool = False
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def command(self, *words: str) -> list[str]:
        """What runs `words` on the machine at the other end."""
        return ["ip", "netns", "exec", self.namespace, *words]

    def carry(self, here: int, there: int, ended: Event) -> None:
        """Carry packets between two open TUN devices until told to end."""
        other, travelling = {here: there, there: here}, deque[tuple[float, int, bytes]]()
        while not ended.is_set():
            patience = max(0.0, travelling[0][0] - time.monotonic()) if travelling else _PATIENCE_S
            for device in select([here, there], [], [], min(patience, _PATIENCE_S))[0]:
                packet = os.read(device, _LONGEST_PACKET)
                if not self.is_cut and self._random.random() >= self.loss:
                    travelling.append((time.monotonic() + self.delay_s, other[device], packet))
            while travelling and travelling[0][0] <= time.monotonic():
                _, device, packet = travelling.popleft()
                os.write(device, packet)


def why_not() -> str:
    """Why there can be no such machines here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    return "" if _TUN.exists() else f"this kernel has no {_TUN}"


@contextmanager
def cables(count: int) -> Iterator[list[Cable]]:
    """So many machines, each on its cable; they and all that runs there must have ended when the block does."""
    ended, threads, made = Event(), list[Thread](), list[Cable]()
    devices = list[int]()
    try:
        for number in range(count):
            cable = Cable(f"bnf-{os.getpid()}-{number}")
            made.append(cable)
            here, there = _laid(cable.namespace, number)
            devices += [here, there]
            threads.append(Thread(target=cable.carry, args=(here, there, ended), daemon=True))
            threads[-1].start()
        yield made
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for device in devices:
            os.close(device)
        for cable in made:
            subprocess.run(["ip", "netns", "del", cable.namespace], capture_output=True)


def _laid(namespace: str, number: int) -> tuple[int, int]:
    """Both ends of a new cable, open."""
    names = [f"bnf{end}{os.getpid()}-{number}"[-15:] for end in "ht"]
    here, there = map(_opened, names)
    net = f"10.83.{number}"
    for line in (
        f"netns add {namespace}",
        f"address add {net}.1/24 dev {names[0]}",
        f"link set {names[0]} up",
        f"link set {names[1]} netns {namespace}",
        f"-n {namespace} address add {net}.2/24 dev {names[1]}",
        f"-n {namespace} link set {names[1]} up",
        f"-n {namespace} link set lo up",
        f"-n {namespace} route add default via {net}.1",
    ):
        subprocess.run(["ip", *line.split()], check=True, capture_output=True)
    return here, there


def _opened(name: str) -> int:
    device = os.open(_TUN, os.O_RDWR)
    fcntl.ioctl(device, _SET_NAME, struct.pack("16sH", name.encode(), _IP_WITHOUT_HEADER))
    return device
