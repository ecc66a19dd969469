"""What hospitals cost the coordinator: bytes, seconds, memory and disk, by their number.

`python -m benchmarks.scale` measures with 10 to 200 sites, each number in a process of its own, computes 1,000 from the
straight line through them (least squares), and prints the table of docs/scale.md. The ServerApp is the real one; its
sites answer in the same process, one after another as over a network, and what they take is not counted.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final
from unittest.mock import patch

import numpy as np
from flwr.app import Message, MessageType
from flwr.common.serde import recorddict_to_proto

from benchmarks.site_answers import answered, client_app
from benchmarks.tiny_hospitals import NETWORK
from bloodnet_model.network import build_network
from server.app import OUT
from server.app import app as server_app
from server.journal import FOLDER as JOURNAL
from server.settings import run_settings, to_run_config
from simulation.engines.local import LocalGrid, server_context

_SITES: Final = (10, 50, 100, 200)
_BEYOND: Final = 1000
_ROUNDS: Final = 3
_TESTED: Final = 20
_PARTS: Final = {
    "gate": "server.training_round.checked_update",
    "journal": "server.journal.Journal.accept",
    "aggregation": "server.training_round._combined",
    "record": "server.record.RunRecord.round",
}
"""Where a round's seconds go, by the function that is timed."""


@dataclass
class Meter:
    """What is seen while a run goes on.

    spent_s:     by part of the work; `sites` is what the sites took
    rounds:      `spent_s` and the clock at the start of each round
    sent, taken: bytes out and in since the run began, as Flower's messages carry them
    """

    spent_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    rounds: list[tuple[float, dict[str, float], int, int]] = field(default_factory=list)
    sent: int = 0
    taken: int = 0
    journal_bytes: int = 0

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spent_s[part] += time.perf_counter() - started

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            with self.timing(part):
                return function(*arguments, **named)

        return wrapped

    def begin_round(self) -> None:
        self.rounds.append((time.perf_counter(), self.spent_s.copy(), self.sent, self.taken))

    def of_last_round(self) -> dict[str, float]:
        """Bytes and seconds between the starts of the last two rounds."""
        (then, before, sent, taken), (now, after, sent_now, taken_now) = self.rounds[-2:]
        parts = {f"{part}_s": after[part] - before[part] for part in _PARTS}
        coordinator_s = now - then - (after["sites"] - before["sites"])
        return {"out": sent_now - sent, "in": taken_now - taken, "seconds": coordinator_s, **parts}


class MeteredGrid(LocalGrid):
    """Sites in this process: an answer is made when it is pulled, one at a time."""

    def __init__(self, sites: int, journal: Path, meter: Meter) -> None:
        super().__init__([Path()] * sites, workers=1)
        self._app, self._journal, self._meter = client_app(steps=0, tested=_TESTED), journal, meter
        self._asked: dict[str, Message] = {}

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        asked = list(messages)
        with self._meter.timing("sites"):
            if asked[0].metadata.message_type == MessageType.EVALUATE:
                sizes = [path.stat().st_size for path in self._journal.iterdir()]
                self._meter.journal_bytes = max(self._meter.journal_bytes, sum(sizes))
            self._meter.sent += len(asked) * _bytes(asked[0])
        if asked[0].metadata.message_type == MessageType.TRAIN:
            self._meter.begin_round()
        for number, message in enumerate(asked, start=len(self._asked)):
            message.metadata.__dict__["_message_id"] = f"{time.monotonic_ns()}-{number}"
            self._asked[message.metadata.message_id] = message
        return [message.metadata.message_id for message in asked]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        message = self._asked.pop(next(iter(message_ids)))
        with self._meter.timing("sites"):
            reply = answered(message, message.metadata.dst_node_id, self._app)
            self._meter.taken += _bytes(reply)
        return [reply]


def measure(sites: tuple[int, ...] = _SITES) -> dict[str, dict[str, float]]:
    """By number of sites; that beyond those measured is computed."""
    found = {number: _in_own_process(number) for number in sites}
    print(_table(found, _line_through(found)))
    return {str(number): figures for number, figures in found.items()}


def _in_own_process(sites: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.scale", folder, str(sites)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _of(folder: Path, sites: int) -> dict[str, float]:
    """Figures of one round with so many sites; MiB are those at the peak."""
    out, meter = folder / "run", Meter()
    raw = {"rounds": _ROUNDS, "local_epochs": 1, "minimum_sites": sites, "model": NETWORK}
    config = {**to_run_config(run_settings(raw)), OUT: str(out)}
    build_network(run_settings(raw).model, 0)
    program_mib = _peak_mib()
    with ExitStack() as stack:
        for part, name in _PARTS.items():
            stack.enter_context(patch(name, meter.timed(part, resolve_name(name))))
        grid = stack.enter_context(MeteredGrid(sites, out / JOURNAL, meter))
        server_app(grid, server_context(config))
    journal_mib = meter.journal_bytes / 2**20
    return {**meter.of_last_round(), "program_mib": program_mib, "peak_mib": _peak_mib(), "journal_mib": journal_mib}


def _bytes(message: Message) -> int:
    return int(recorddict_to_proto(message.content).ByteSize())


def _peak_mib() -> float:
    """The most memory this process has had so far."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _line_through(found: dict[int, dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Slope and intercept of each figure over the number of sites."""
    numbers = list(found)
    lines = {}
    for name in found[numbers[0]]:
        slope, start = np.polyfit(numbers, [found[number][name] for number in numbers], 1)
        lines[name] = float(slope), float(start)
    return lines


def _table(found: dict[int, dict[str, float]], lines: dict[str, tuple[float, float]]) -> str:
    """Markdown."""
    beyond = {name: slope * _BEYOND + start for name, (slope, start) in lines.items()}
    units = {"out": ("GB out a round", 1e9, 2), "in": ("GB in a round", 1e9, 2), "seconds": ("seconds a round", 1, 1)}
    units |= {f"{part}_s": (f"of them {part}", 1, 2) for part in _PARTS}
    units |= {"peak_mib": ("MiB at the peak", 1, 0), "program_mib": ("of them the program", 1, 0)}
    units |= {"journal_mib": ("MiB of journal on disk", 1, 0)}
    rows = ["| | " + " | ".join(f"{n} sites" for n in found) + f" | {_BEYOND:,} (computed) | a site more |"]
    rows.append("|---" * (len(found) + 3) + "|")
    for name, (title, unit, digits) in units.items():
        values = [found[n][name] for n in found] + [beyond[name]]
        cells = " | ".join(f"{value / unit:,.{digits}f}" for value in values)
        rows.append(f"| {title} | {cells} | {lines[name][0] / unit:,.4f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_of(Path(sys.argv[1]), int(sys.argv[2]))))
    else:
        measure()
