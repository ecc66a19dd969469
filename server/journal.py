"""What a run has done, written down before it counts, so that a run that was killed goes on where it was.

`journal/log.jsonl` has a line an event, each with a digest of itself and all lines before; weights and updates lie
beside it as safetensors, their digests in the log. A file is on the disk before its line is, and a line before what it
says counts.

    run       which run it is, and its settings
    weights   those of the end of a round (of round 0: the first ones), the strategy's memory, and who was refused
    update    one site's, accepted in the round after
    round     the round's line in rounds.jsonl: it is over
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from strategies.records import Update

FOLDER: Final = "journal"
_LOG: Final = "log.jsonl"
_WEIGHTS: Final = "weights"
_MEMORY: Final = "memory."
_KEPT_ROUNDS: Final = 2
"""Rounds at the end whose weights are kept, beside the first ones: the last, and the one it is compared with."""

Weights = NDArray[np.float32]
Memory = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Aggregate:
    """The end of a round's training: its weights, the strategy's memory, the sites refused and why, and its seconds."""

    weights: Weights
    memory: Memory
    refused: Mapping[str, str]
    seconds: float


class Journal:
    """A run folder's journal; made by `begin`, opened again by `reopen`."""

    def __init__(self, folder: Path, events: list[dict[str, Any]], digest: str) -> None:
        self._folder, self._events, self._digest = folder, events, digest

    @classmethod
    def begin(
        cls, run_folder: Path, run: str, settings: Mapping[str, Any], first: Weights, start: str = ""
    ) -> "Journal":
        """The journal of a new run; `start` says what its first weights came from, if anything.

        Raises DataError where it cannot be written.
        """
        make_folder(run_folder / FOLDER)
        journal = cls(run_folder / FOLDER, [], "")
        journal._append({"event": "run", "run": run, "settings": dict(settings), "start": start})
        journal.aggregated(0, Aggregate(first, {}, {}, 0.0))
        return journal

    @classmethod
    def reopen(cls, run_folder: Path, settings: Mapping[str, Any]) -> "Journal":
        """The journal of a run that was stopped; a line that was only half written is taken off its end.

        Raises DataError, with the remedy, where there is none, where it is damaged, or where it is of other settings.
        """
        folder = run_folder / FOLDER
        journal = cls(folder, *_read(folder / _LOG))
        _require_same(journal._first("run")["settings"], json.loads(json.dumps(settings)), run_folder)
        return journal

    @property
    def run(self) -> str:
        """The name that the sites keep their state under."""
        return str(self._first("run")["run"])

    @property
    def start(self) -> str:
        """What the first weights came from; empty where they were drawn."""
        return str(self._first("run")["start"])

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Of the rounds that are over, in their order."""
        return [event["line"] for event in self._events if event["event"] == "round"]

    @property
    def aggregated_rounds(self) -> int:
        """Rounds whose weights are known; the last of them need not be over."""
        return max(int(event["round"]) for event in self._events if event["event"] == "weights")

    def aggregate(self, number: int) -> Aggregate:
        """The end of training in a round; raises DataError where its weights are damaged or no longer kept."""
        event = self._of_round("weights", number)[-1]
        tensors = self._tensors(event)
        if tensors is None:
            raise DataError(
                f"{self._folder / event['file']}: is damaged or not there; bring it back from a backup, or begin anew."
            )
        memory = {name.removeprefix(_MEMORY): of for name, of in tensors.items() if name.startswith(_MEMORY)}
        return Aggregate(tensors[_WEIGHTS], memory, event["refused"], event["seconds"])

    def accepted(self, number: int) -> dict[str, Update]:
        """Updates of a round by site; one whose file is damaged is not among them, and its site can be asked again."""
        found = {}
        for event in self._of_round("update", number):
            tensors = self._tensors(event)
            if tensors is not None:
                losses = tuple(event["losses"])
                rest = event["studies"], event["steps"], losses, event["seconds"]
                found[event["site"]] = Update(tensors[_WEIGHTS], *rest)
        return found

    def accept(self, number: int, site: str, update: Update) -> None:
        """Keep a site's update, which counts from now on."""
        file = self._keep(f"round-{number}-{site}.safetensors", {_WEIGHTS: update.weights})
        told = {"studies": update.studies, "steps": update.steps, "losses": update.losses, "seconds": update.seconds}
        self._append({"event": "update", "round": number, "site": site, **file, **told})

    def aggregated(self, number: int, end: Aggregate) -> None:
        """Keep what a round's updates were made into."""
        memory = {_MEMORY + name: np.asarray(of, np.float64) for name, of in end.memory.items()}
        file = self._keep(f"round-{number}.safetensors", {_WEIGHTS: end.weights, **memory})
        told = {"refused": dict(end.refused), "seconds": end.seconds}
        self._append({"event": "weights", "round": number, **file, **told})

    def over(self, number: int, line: Mapping[str, Any], keep_updates: bool) -> None:
        """The round is over; what nobody will ask for again is removed."""
        self._append({"event": "round", "round": number, "line": dict(line)})
        if not keep_updates:
            self._remove(event["file"] for event in self._of_round("update", number))
        if number - _KEPT_ROUNDS > 0:
            self._remove(event["file"] for event in self._of_round("weights", number - _KEPT_ROUNDS))

    def _first(self, event: str) -> dict[str, Any]:
        return next(one for one in self._events if one["event"] == event)

    def _of_round(self, event: str, number: int) -> list[dict[str, Any]]:
        return [one for one in self._events if one["event"] == event and one["round"] == number]

    def _keep(self, name: str, tensors: Mapping[str, NDArray[Any]]) -> dict[str, str]:
        content = save({key: np.ascontiguousarray(of) for key, of in tensors.items()})
        write_whole(self._folder / name, content)
        return {"file": name, "sha256": sha256(content).hexdigest()}

    def _tensors(self, event: Mapping[str, Any]) -> dict[str, NDArray[Any]] | None:
        """Of the file that an event names; None where it is not what was written."""
        try:
            content = (self._folder / event["file"]).read_bytes()
            return dict(load(content)) if sha256(content).hexdigest() == event["sha256"] else None
        except (OSError, SafetensorError):
            return None

    def _remove(self, names: Iterator[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def _append(self, event: dict[str, Any]) -> None:
        digest = _digest(self._digest, event)
        line = json.dumps({**event, "digest": digest})
        path = self._folder / _LOG
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(
                f"{path}: cannot be written ({error.strerror}); the run stops here and can be resumed once it can."
            ) from None
        self._events.append(event)
        self._digest = digest


def _read(path: Path) -> tuple[list[dict[str, Any]], str]:
    """Events and the digest of the last line; a last line without an end never counted, and is cut off."""
    try:
        content = path.read_bytes()
    except OSError:
        raise DataError(f"{path}: there is no such file; give the folder of a run that kept a journal.") from None
    whole = content[: content.rfind(b"\n") + 1]
    events: list[dict[str, Any]] = []
    digest = ""
    for number, line in enumerate(whole.splitlines(), start=1):
        event = _event(line)
        told = event.pop("digest", None) if event else None
        if event is None or told != _digest(digest, event):
            raise _damaged(path, number, events)
        events.append(event)
        digest = told
    if [event["event"] for event in events[:2]] != ["run", "weights"]:
        raise DataError(f"{path}: does not begin as a run's journal does; begin the run anew in another folder.")
    if whole != content:
        write_whole(path, whole)
    return events, digest


def _digest(before: str, event: Mapping[str, Any]) -> str:
    return sha256(f"{before}{json.dumps(event)}".encode()).hexdigest()


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _damaged(path: Path, number: int, before: list[dict[str, Any]]) -> DataError:
    good = max((event["round"] for event in before if event["event"] == "round"), default=0)
    return DataError(
        f"{path}, line {number}: was changed or does not follow the line before it; round {good} and all before it are "
        f"whole: cut the file off before this line, and the run goes on from there."
    )


def _require_same(kept: Mapping[str, Any], now: Mapping[str, Any], run_folder: Path) -> None:
    differing = sorted(name for name in kept.keys() | now.keys() if kept.get(name) != now.get(name))
    if differing:
        raise DataError(
            f"{run_folder}: was begun with other settings ({', '.join(differing)}); resume it with those of its "
            "config.yaml, or begin a run of its own."
        )
