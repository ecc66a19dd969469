"""NVFlare's simulator, stock Flower with Ray, and ours: the same model, clients and rounds, in alternation.

Every figure is of a whole command, from its start to its end, with all its processes. Two of ours are not the same:

    ours      our ServerApp (journal, gate, run folder, report) over the local engine; the clients do what the peers'
              clients do, and nothing else
    product   `bloodnet-simulate run` as it is: the real ClientApp on prepared studies, one optimiser step a round at
              least, test patients scored, placement table and report; measured where the others train nothing
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from benchmarks.peers.nvflare_environment import nvflare_python
from benchmarks.peers.work import AT_ONCE, CLIENTS, FIRST, LAST, ROUNDS, magnitude
from benchmarks.process_tree import Cost, measured
from benchmarks.tiny_hospitals import NETWORK, configuration, drawn
from bloodnet_model.network import BloodNet
from server.app import initial_network
from server.settings import run_settings

_ROOT: Final = Path(__file__).parents[2]
_TURNS: Final = 5
_STEPS: Final = (0, 50)
_QUIET: Final = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
_OURS: Final = ("ours", "product")
_SAME: Final = 0.01
"""How far apart the contenders' changes of the first model may be, as a share of the largest."""

Command = Sequence[str | Path]


def measure(turns: int = _TURNS, steps: Sequence[int] = _STEPS) -> dict[str, dict[str, dict[str, float]]]:
    """By what is trained, by contender: medians over the turns, and ratios to ours of the same turn."""
    with tempfile.TemporaryDirectory() as scratch:
        hospitals = drawn(Path(scratch) / "hospitals", CLIENTS)
        settings = configuration(Path(scratch) / "config.yaml", hospitals, ROUNDS)
        contenders = _contenders(settings)
        _run(contenders["product"], Path(scratch) / "prepares", 0)  # as the peers' clients, ours find their data ready
        network, _ = initial_network(run_settings({"model": NETWORK}))
        return {f"{each} steps": _compare(contenders, network, Path(scratch), each, turns) for each in steps}


def _contenders(settings: Path) -> dict[str, Command]:
    """Commands; a folder and the number of steps are still to be added."""
    found: dict[str, Command] = {"bare": [sys.executable, "-m", "benchmarks.peers.bare"]}
    nvflare = nvflare_python()
    if nvflare is not None:
        found["nvflare"] = [nvflare, "-m", "benchmarks.peers.nvflare_fedavg"]
    if find_spec("ray") is not None:
        found["flower with ray"] = [sys.executable, "-m", "benchmarks.peers.flower_ray"]
    else:
        print("  Ray is not installed here, and Flower's simulation is left out")
    product: Command = [Path(sys.executable).with_name("bloodnet-simulate"), "run", "--config", settings]
    return {
        **found,
        "ours": [sys.executable, "-m", "benchmarks.peers.ours"],
        "product": [*product, "--workers", str(AT_ONCE), "--out"],
    }


def _compare(
    contenders: Mapping[str, Command], network: BloodNet, scratch: Path, steps: int, turns: int
) -> dict[str, dict[str, float]]:
    first = [parameter.detach().numpy() for parameter in network.parameters()]
    taking_part = [name for name in contenders if name != ("product" if steps else "bare")]
    costs: dict[str, list[Cost]] = {name: [] for name in taking_part}
    changes: dict[str, float] = {}
    for turn in range(turns):
        for name in taking_part[turn % len(taking_part) :] + taking_part[: turn % len(taking_part)]:
            folder = scratch / f"{steps}-{turn}-{name.replace(' ', '-')}"
            folder.mkdir()
            np.savez(folder / FIRST, *first)
            costs[name].append(_run(contenders[name], folder, steps))
            if (folder / LAST).exists():
                changes[name] = json.loads((folder / LAST).read_text()) / magnitude(first) - 1
                require_same(changes)
    print(f"  {steps} steps a client and round" if steps else "  nothing trained")
    print(f"  the model's magnitudes grew by {', '.join(f'{of:.4%} ({name})' for name, of in changes.items())}")
    return {name: _line(name, costs) for name in taking_part}


def _run(command: Command, folder: Path, steps: int) -> Cost:
    product = command[-1] == "--out"
    whole = [*command, folder / "run"] if product else [*command, folder, str(steps)]
    environment = {**os.environ, **_QUIET, "PYTHONPATH": str(_ROOT)}
    folder.mkdir(exist_ok=True)
    return measured(whole, folder / "output.log", environment)


def require_same(changes: Mapping[str, float]) -> None:
    """Raises RuntimeError where not all contenders changed the model, and alike."""
    if not max(changes.values()) - min(changes.values()) < _SAME * max(map(abs, changes.values())):
        raise RuntimeError(f"the contenders changed the model differently, so they did not do the same work: {changes}")


def _line(name: str, costs: Mapping[str, Sequence[Cost]]) -> dict[str, float]:
    """Medians of one contender, and over the turns the medians of what it took over what ours took."""
    own = costs[name]
    line = {of: median(getattr(cost, of) for cost in own) for of in ("seconds", "cpu_seconds", "peak_mib")}
    text = (
        f"  {name:<16}{line['seconds']:7.1f} s, {line['cpu_seconds']:.1f} s of processors, {line['peak_mib']:.0f} MiB"
    )
    for ours in (ours for ours in _OURS if ours in costs and ours != name):
        pairs = list(zip(own, costs[ours], strict=True))
        line[f"seconds_over_{ours}"] = median(theirs.seconds / mine.seconds for theirs, mine in pairs)
        line[f"peak_over_{ours}"] = median(theirs.peak_mib / mine.peak_mib for theirs, mine in pairs)
        text += f"   {line[f'seconds_over_{ours}']:.2f} and {line[f'peak_over_{ours}']:.2f} times {ours}"
    print(text)
    return {key: round(value, 2) for key, value in line.items()}


if __name__ == "__main__":
    measure()
