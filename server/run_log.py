"""The lines of a run's journal, and which of them still count.

`journal/log.jsonl` has a line an event (`bloodnet_model.chained_log`):

    run         which run it is, and its settings
    reopened    it goes on after a stop
    called      the roll call is over: the sites that take part
    plan        of a round: the sites that are asked, the run's seed, from which all others follow, the settings' digest
    weights     those of the end of a round (of round 0: the first ones), the strategy's memory, and who was refused
    update      one site's, accepted in the round after
    round       the round's line in rounds.jsonl: it is over
    readmitted  a site that had been set aside, before a round
    rewound     the rounds after one no longer count; the run has another name from here on
    finished    everything that comes after the last round is done, too
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bloodnet_model.chained_log import ChainedLog, DamagedLog, Event, cut_before
from bloodnet_model.errors import DataError

LOG: Final = "log.jsonl"
FINISHED: Final = "finished"
_LASTING: Final[Mapping[str, tuple[str, ...]]] = {"plan": (), "update": ("site", "fingerprint"), "round": ()}
"""What later rounds ask for of those that are over."""


class RunLog:
    """The log of one run. Of rounds that are over, it keeps no more in memory than later ones need."""

    def __init__(self, log: ChainedLog) -> None:
        self._log = log
        self._shorten({event["round"] for event in self.of("round")})

    @classmethod
    def begin(cls, path: Path) -> "RunLog":
        return cls(ChainedLog.begin(path))

    @classmethod
    def read(cls, path: Path) -> "RunLog":
        """To look at, while the run may be going on; raises as `reopen`."""
        return cls(_opened(path, ChainedLog.read))

    @classmethod
    def reopen(cls, path: Path) -> "RunLog":
        """To go on with; a line that was only half written is taken off its end.

        Raises DataError, with the remedy, where there is none, where it is damaged, or is no run's.
        """
        return cls(_opened(path, ChainedLog.reopen))

    @property
    def first(self) -> Event:
        return self._log.events[0]

    @property
    def run(self) -> str:
        """The name that the sites keep their state under."""
        return next(str(event["run"]) for event in reversed(self._log.events) if "run" in event)

    @property
    def lines(self) -> Iterator[dict[str, Any]]:
        """Of the rounds that are over, in their order; read from the file one by one, for a long run's are much."""
        places = {place for place, event in _counting(self._log.events) if event["event"] == "round"}
        return (event["line"] for event in self._log.again(places))

    def of(self, kind: str, number: int | None = None) -> list[Event]:
        """Events of a kind, if asked of one round, that still count."""
        counting = _counting(self._log.events)
        return [one for _, one in counting if one["event"] == kind and number in (None, one.get("round"))]

    def append(self, event: Mapping[str, Any]) -> None:
        self._log.append(event)
        if event["event"] == "round":
            self._shorten({event["round"]})

    def _shorten(self, over: Container[int]) -> None:
        """The file has all of it."""
        events = self._log.events
        for place, event in enumerate(events):
            if event.get("round") in over and event["event"] in _LASTING:
                events[place] = {name: event[name] for name in ("event", "round", *_LASTING[event["event"]])}


def rounds_over(path: Path) -> list[int]:
    """The rounds that are over, also of a log that is damaged after them; raises DataError where there is none."""
    try:
        events = ChainedLog.read(path).events
    except DamagedLog as damage:
        events = damage.before
    return _over(events)


def cut_damage(path: Path) -> None:
    """Keep what a log has before its first damaged line, if it has one; the whole of it stays beside it."""
    try:
        ChainedLog.reopen(path)
    except DamagedLog as damage:
        cut_before(path, damage.line)


def _opened(path: Path, how: Callable[[Path], ChainedLog]) -> ChainedLog:
    try:
        log = how(path)
    except DamagedLog as damage:
        good = max(_over(damage.before), default=0)
        whole = f"Round {good} and all before it are whole: go on from there with --from-round {good}"
        remedy = whole if good else "No round before it is over: begin the run anew in another folder"
        raise DataError(f"{damage} {remedy}, or bring the file back from a backup.") from None
    except DataError as error:
        raise DataError(f"{error} Give the folder of a run that kept a journal.") from None
    if [event.get("event") for event in log.events[:2]] != ["run", "weights"]:
        raise DataError(f"{path}: does not begin as a run's journal does; begin the run anew in another folder.")
    return log


def _over(events: Iterable[Event]) -> list[int]:
    return [event["round"] for _, event in _counting(events) if event["event"] == "round"]


def _counting(events: Iterable[Event]) -> list[tuple[int, Event]]:
    """What still counts, each event with its place in the log."""
    counting: list[tuple[int, Event]] = []
    for place, event in enumerate(events):
        if event.get("event") == "rewound":
            before = (pair for pair in counting if pair[1].get("round", 0) <= event["round"])
            counting = [pair for pair in before if pair[1]["event"] != FINISHED]
        else:
            counting.append((place, event))
    return counting
