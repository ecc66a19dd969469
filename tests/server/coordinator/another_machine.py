"""Another machine: a network namespace that is joined with this one by a cable, and by nothing else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTSIDER = Path(__file__).parent / "outsider.py"


@dataclass(frozen=True)
class AnotherMachine:
    """A namespace; this machine's address on the cable is `here`."""

    name: str
    here: str

    def command(self, *words: str) -> list[str]:
        """What runs `words` there."""
        return ["ip", "netns", "exec", self.name, *words]

    def tries(self, tries: Sequence[Sequence[Any]]) -> list[Any]:
        """Outcomes of what `outsider.py` can try."""
        command = self.command(sys.executable, str(OUTSIDER))
        found = subprocess.run(command, input=json.dumps(tries), capture_output=True, text=True, timeout=120)
        assert found.returncode == 0, found.stderr
        return list(json.loads(found.stdout))


def why_not() -> str:
    """Why there can be no other machine here; empty where there can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root, for a network namespace"
    if shutil.which("ip") is None:
        return "needs `ip`: apt-get install iproute2"
    made = subprocess.run(["ip", "netns", "add", f"bn-try-{os.getpid()}"], capture_output=True, text=True)
    if made.returncode:
        return f"this machine makes no network namespaces: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", f"bn-try-{os.getpid()}"], check=True)
    return ""


@contextmanager
def another_machine() -> Iterator[AnotherMachine]:
    """One of its own for each process that asks."""
    number = os.getpid()
    name, net = f"bn-{number}", f"10.{64 + number % 64}.{number // 64 % 256}"
    here, there = f"bnh{number}", f"bnt{number}"
    try:
        for line in (
            f"netns add {name}",
            f"link add {here} type veth peer name {there} netns {name}",
            f"address add {net}.1/24 dev {here}",
            f"link set {here} up",
            f"-n {name} address add {net}.2/24 dev {there}",
            f"-n {name} link set {there} up",
            f"-n {name} link set lo up",
        ):
            subprocess.run(["ip", *line.split()], check=True, capture_output=True)
        yield AnotherMachine(name, f"{net}.1")
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
