"""What a run has done, written down before it counts, so that a run that was killed goes on where it was.

`journal/` holds the log of its events (`server.run_log`), and weights and updates as safetensors, whose digests
are in the log. A file is on the disk before its line is, and a line before what it says counts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from server.run_log import FINISHED, LOG, RunLog, cut_damage, rounds_over
from strategies.records import Update
from strategies.update_gate import Checked
from strategies.vectors import stored

FOLDER: Final = "journal"
_WEIGHTS: Final = "weights"
_MEMORY: Final = "memory."
_VECTORS: Final = ("weights", "control_change")
"""Fields of an update that lie in its file; the others stand in its line."""

Weights = NDArray[np.float32]
Memory = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Aggregate:
    """The end of a round's training: its weights, the strategy's memory, the sites refused and why, and its seconds.

    answered_s: of the refused sites that answered, the seconds from the question to the answer
    """

    weights: Weights
    memory: Memory
    refused: Mapping[str, str]
    seconds: float
    answered_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted:
    """An update in the journal: its vectors are read from its file when they are asked for.

    norm:       L2 norm of its weights minus those before the round
    answered_s: seconds from the question to the answer
    """

    update: Update
    norm: float
    answered_s: float


class Journal:
    """A run folder's journal; made by `begin`, opened again by `reopen`."""

    def __init__(self, folder: Path, log: RunLog) -> None:
        self._folder, self._log = folder, log

    @classmethod
    def begin(
        cls, run_folder: Path, run: str, settings: Mapping[str, Any], first: Weights, start: str = ""
    ) -> "Journal":
        """The journal of a new run; `start` says what its first weights came from, if anything.

        Raises DataError where it cannot be written.
        """
        make_folder(run_folder / FOLDER)
        journal = cls(run_folder / FOLDER, RunLog.begin(run_folder / FOLDER / LOG))
        journal._log.append({"event": "run", "run": run, "settings": dict(settings), "start": start})
        journal.aggregated(0, Aggregate(first, {}, {}, 0.0))
        return journal

    @classmethod
    def reopen(cls, run_folder: Path, settings: Mapping[str, Any]) -> "Journal":
        """The journal of a run that was stopped; a line that was only half written is taken off its end.

        Raises DataError, with the remedy, where there is none, where it is damaged, or where it is of other settings.
        """
        journal = cls(run_folder / FOLDER, RunLog.reopen(run_folder / FOLDER / LOG))
        _require_same(journal._log.first["settings"], json.loads(json.dumps(settings)), run_folder)
        journal._log.append({"event": "reopened"})
        return journal

    @classmethod
    def reopen_at(cls, run_folder: Path, settings: Mapping[str, Any], number: int, run: str) -> "Journal":
        """As `reopen`, but gone back to the end of round `number`, also where the log is damaged only after it.

        run: the run's name from here on, since the sites keep nothing of so long ago
        Raises DataError as well where that round is not over, or its weights are not kept.
        """
        require_over(run_folder, number)
        cut_damage(run_folder / FOLDER / LOG)
        journal = cls.reopen(run_folder, settings)
        journal.aggregate(number)
        journal._log.append({"event": "rewound", "round": number, "run": run})
        return journal

    @classmethod
    def read(cls, run_folder: Path) -> "Journal":
        """The journal of a run, to look at while it may be going on; raises DataError as `reopen`."""
        return cls(run_folder / FOLDER, RunLog.read(run_folder / FOLDER / LOG))

    @property
    def run_folder(self) -> Path:
        return self._folder.parent

    @property
    def run(self) -> str:
        """The name that the sites keep their state under."""
        return self._log.run

    @property
    def start(self) -> str:
        """What the first weights came from; empty where they were drawn."""
        return str(self._log.first["start"])

    @property
    def lines(self) -> Iterator[dict[str, Any]]:
        """Of the rounds that are over, in their order; read from the log one by one."""
        return self._log.lines

    @property
    def rounds_over(self) -> int:
        return len(self._log.of("round"))

    @property
    def outcomes(self) -> dict[int, dict[str, str]]:
        """By round that is over and by site: why its answer was refused, empty where its update counted."""
        refused = {event["round"]: event["refused"] for event in self._log.of("weights")}
        over = {event["round"]: dict(refused[event["round"]]) for event in self._log.of("round")}
        for event in self._log.of("update"):
            if event["round"] in over:
                over[event["round"]].setdefault(event["site"], "")
        return over

    @property
    def is_finished(self) -> bool:
        return bool(self._log.of(FINISHED))

    @property
    def readmitted(self) -> dict[str, int]:
        """By site, the round before which it was last admitted again."""
        return {event["site"]: event["round"] for event in self._log.of("readmitted")}

    @property
    def aggregated_rounds(self) -> int:
        """Rounds whose weights are known; the last of them need not be over."""
        return max(int(event["round"]) for event in self._log.of("weights"))

    def aggregate(self, number: int) -> Aggregate:
        """The end of training in a round; raises DataError where its weights are damaged or no longer kept."""
        event = self._log.of("weights", number)[-1]
        path = self._folder / event["file"]
        try:
            content = path.read_bytes()
            tensors = load(content) if sha256(content).hexdigest() == event["sha256"] else None
        except (OSError, SafetensorError):
            tensors = None
        if tensors is None:
            raise DataError(f"{path}: is damaged or no longer kept; {self._instead(number)}")
        memory = {name.removeprefix(_MEMORY): of for name, of in tensors.items() if name.startswith(_MEMORY)}
        return Aggregate(tensors[_WEIGHTS], memory, event["refused"], event["seconds"], event["answered_s"])

    def called(self, sites: Iterable[str]) -> None:
        """The roll call is over: who takes part."""
        self._log.append({"event": "called", "sites": sorted(sites)})

    def plan(self, number: int, sites: Iterable[str]) -> None:
        """Whom a round asks; a run that is stopped in it asks the same."""
        settings = self._log.first["settings"]
        digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        event = {"event": "plan", "round": number, "sites": sorted(sites), "seed": settings.get("seed")}
        self._log.append({**event, "settings": digest})

    def planned(self, number: int) -> frozenset[str] | None:
        """The sites that a round asks which is not over; None where it has not begun."""
        plans = self._log.of("plan", number)
        return frozenset(plans[-1]["sites"]) if plans else None

    @property
    def counted_rounds(self) -> dict[str, int]:
        """By site, the last round whose weights its update is in."""
        refused = {event["round"]: event["refused"] for event in self._log.of("weights")}
        updates = [event for event in self._log.of("update") if event["round"] in refused]
        return {event["site"]: event["round"] for event in updates if event["site"] not in refused[event["round"]]}

    def accepted(self, number: int) -> dict[str, Accepted]:
        """Updates of a round by site; one whose file is damaged is not among them, and its site can be asked again."""
        events = {event["site"]: event for event in self._log.of("update", number) if self._is_whole(event)}
        return {site: self._accepted(event) for site, event in sorted(events.items())}

    def fingerprints(self, before: int) -> dict[str, frozenset[str]]:
        """By site, of what it sent before a round; after a stop it may send again what it sent in this one."""
        found: dict[str, set[str]] = {}
        for event in self._log.of("update"):
            if event["round"] < before:
                found.setdefault(event["site"], set()).add(event["fingerprint"])
        return {site: frozenset(of) for site, of in found.items()}

    def accept(self, number: int, site: str, checked: Checked, answered_s: float) -> Accepted:
        """Keep a site's update, which counts from now on; what is returned holds no vector in memory."""
        update = checked.update
        vectors = {name: np.asarray(of[:]) for name in _VECTORS if (of := getattr(update, name)) is not None}
        told = {of.name: getattr(update, of.name) for of in fields(Update) if of.name not in _VECTORS}
        file = self._keep(_update_file(number, site), vectors)
        event = {"event": "update", "round": number, "site": site, **file}
        event |= {"vectors": sorted(vectors), "told": told, "norm": checked.norm, "answered_s": answered_s}
        event["fingerprint"] = checked.fingerprint
        self._log.append(event)
        return self._accepted(event)

    def aggregated(self, number: int, end: Aggregate) -> None:
        """Keep what a round's updates were made into."""
        memory = {_MEMORY + name: np.asarray(of, np.float64) for name, of in end.memory.items()}
        file = self._keep(f"round-{number}.safetensors", {_WEIGHTS: end.weights, **memory})
        told = {"refused": dict(end.refused), "seconds": end.seconds, "answered_s": dict(end.answered_s)}
        self._log.append({"event": "weights", "round": number, **file, **told})

    def over(self, number: int, line: Mapping[str, Any]) -> None:
        """The round is over."""
        self._log.append({"event": "round", "round": number, "line": dict(line)})

    def finish(self) -> None:
        """The run is done; a run that was finished and gone on with is so once more."""
        self._log.append({"event": FINISHED})

    def readmit(self, number: int, site: str) -> None:
        """A site that had been set aside takes part again from a round on."""
        self._log.append({"event": "readmitted", "round": number, "site": site})

    def remove_updates(self, number: int) -> None:
        """Of a round that is over."""
        self._remove(_update_file(number, event["site"]) for event in self._log.of("update", number))

    def remove_weights(self, but: Iterable[int]) -> None:
        """Of the ends of all rounds but some."""
        kept = set(but)
        self._remove(event["file"] for event in self._log.of("weights") if event["round"] not in kept)

    def _accepted(self, event: Mapping[str, Any]) -> Accepted:
        path, told = self._folder / event["file"], dict(event["told"])
        told |= {"losses": tuple(told["losses"]), **{name: stored(path, name) for name in event["vectors"]}}
        return Accepted(Update(**told), event["norm"], event["answered_s"])

    def _keep(self, name: str, tensors: Mapping[str, NDArray[Any]]) -> dict[str, str]:
        content = save({key: np.ascontiguousarray(of) for key, of in tensors.items()})
        write_whole(self._folder / name, content)
        return {"file": name, "sha256": sha256(content).hexdigest()}

    def _is_whole(self, event: Mapping[str, Any]) -> bool:
        try:
            with (self._folder / event["file"]).open("rb") as file:
                return bool(file_digest(file, "sha256").hexdigest() == event["sha256"])
        except OSError:
            return False

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def _instead(self, number: int) -> str:
        """The remedy where the weights of a round are not there."""
        over = [event["round"] for event in self._log.of("round") if event["round"] != number]
        kept = [str(of) for of in over if self._is_whole(self._log.of("weights", of)[-1])]
        otherwise = f"go on from round {' or '.join(kept)} with --from-round" if kept else "begin the run anew"
        return f"bring it back from a backup, or {otherwise}."


def require_over(run_folder: Path, number: int) -> None:
    """Raises DataError, with the remedy, where round `number` of a run is not over; nothing is written."""
    over = rounds_over(run_folder / FOLDER / LOG)
    if number not in over:
        RunLog.read(run_folder / FOLDER / LOG)  # where it is damaged before the end of that round, says so
        known = f"go on from one of 1 to {over[-1]}" if over else "begin the run anew in another folder"
        raise DataError(f"{run_folder}: round {number} is not over; {known}.")


def _update_file(number: int, site: str) -> str:
    return f"round-{number}-{site}.safetensors"


def _require_same(kept: Mapping[str, Any], now: Mapping[str, Any], run_folder: Path) -> None:
    differing = sorted(name for name in kept.keys() | now.keys() if kept.get(name) != now.get(name))
    if differing:
        raise DataError(
            f"{run_folder}: was begun with other settings ({', '.join(differing)}); resume it with those of its "
            "config.yaml, or begin a run of its own."
        )
