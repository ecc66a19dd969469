"""Who took part in which round, how long each site took to answer, and how far it moved the weights."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bloodnet_model.run_metrics import NO_ANSWER, Round, RunMetrics, SiteRound
from server.wording import counted, in_words

_NAMED = 3


@dataclass(frozen=True)
class Attendance:
    """One site over all rounds.

    counted:    rounds in which its update counted, of those in which it was asked
    not_drawn:  rounds for which it was not drawn
    aside:      rounds in which it was set aside
    lost:       rounds by why its update did not count
    answers_s:  seconds from question to answer; where the run did not measure them, of its training by its own clock
    strides:    norms of its updates over the middle one of each round
    """

    name: str
    counted: int
    asked: int
    not_drawn: int
    aside: int
    lost: Mapping[str, int]
    answers_s: Sequence[float]
    strides: Sequence[float]

    @property
    def took_part(self) -> str:
        """`46 of 50; not drawn in 25; set aside in 2`."""
        return "; ".join([f"{self.counted} of {self.asked}", *self._not_asked])

    @property
    def of_the_others(self) -> str:
        """What became of the rounds in which its update did not count."""
        return "; ".join([*([self.why_lost] if self.lost else ()), *self._not_asked])

    @property
    def _not_asked(self) -> list[str]:
        rounds = {"not drawn": self.not_drawn, "set aside": self.aside}
        return [f"{what} in {number}" for what, number in rounds.items() if number]

    @property
    def why_lost(self) -> str:
        return "; ".join(f"{count}\u00a0×\u00a0{why}" for why, count in sorted(self.lost.items()))


def attendances(metrics: RunMetrics) -> dict[str, Attendance]:
    """Of every site that a round names, in the order of the run's sites."""
    rounds = metrics.rounds
    there = {name for entry in rounds for name in entry.sites}
    names = [*(name for name in metrics.sites if name in there), *sorted(there - metrics.sites.keys())]
    by_clock, middle = timed_by_coordinator(rounds), {entry.round: _middle_norm(entry) for entry in rounds}
    return {name: _attendance(name, rounds, by_clock, middle) for name in names}


def timed_by_coordinator(rounds: Sequence[Round]) -> bool:
    """Whether the run measured from question to answer; older ones know what sites said of their training."""
    return any(one.answered_s is not None for entry in rounds for one in entry.sites.values())


def _attendance(name: str, rounds: Sequence[Round], by_clock: bool, middle: Mapping[int, float]) -> Attendance:
    entries = [(entry.round, entry.sites[name]) for entry in rounds if name in entry.sites]
    statuses = Counter(one.status for _, one in entries)
    return Attendance(
        name=name,
        counted=statuses["ok"],
        asked=statuses["ok"] + statuses["refused"],
        not_drawn=statuses["not-asked"],
        aside=statuses["set-aside"],
        lost=Counter(in_words(one.reason or one.status) for _, one in entries if one.status == "refused"),
        answers_s=[took for _, one in entries if (took := _answer_s(one, by_clock)) is not None],
        strides=[one.norm / middle[number] for number, one in entries if one.norm is not None and middle[number] > 0],
    )


def _answer_s(one: SiteRound, by_clock: bool) -> float | None:
    if by_clock:
        return None if one.reason == NO_ANSWER else one.answered_s
    return one.seconds if one.status == "ok" else None


def _middle_norm(entry: Round) -> float:
    return median([one.norm for one in entry.sites.values() if one.norm is not None] or [0.0])


def attendance_reading(rounds: Sequence[Round], of_sites: Sequence[Attendance]) -> str:
    """How many of the asked updates counted, whose did not, and who was set aside or is back."""
    asked, good = sum(one.asked for one in of_sites), sum(one.counted for one in of_sites)
    said = [f"{good:,} of {counted(asked, 'update')} that {'was' if asked == 1 else 'were'} asked for counted."]
    losers = sorted((one for one in of_sites if one.lost), key=lambda one: sum(one.lost.values()), reverse=True)
    if losers:
        worst = losers[0]
        more = f"; {counted(len(losers) - 1, 'other hospital')} lost some, too" if losers[1:] else ""
        said.append(f"{worst.name} lost most ({worst.why_lost}){more}.")
    if not_drawn := sum(one.not_drawn for one in of_sites):
        said.append(f"{counted(not_drawn, 'time')} a hospital was not drawn for a round.")
    said += _set_aside(rounds, of_sites)
    return " ".join(said)


def set_aside(entry: Round) -> list[str]:
    return [name for name, one in entry.sites.items() if one.status == "set-aside"]


def set_aside_sentence(rounds: Sequence[Round]) -> str:
    """Who is not asked any more until the coordinator does something, with the reason of the last refusal."""
    said = []
    for name in set_aside(rounds[-1]) if rounds else ():
        refusals = [one.reason for entry in rounds if (one := entry.sites.get(name)) and one.status == "refused"]
        said.append(f"{name} ({in_words(refusals[-1])})" if refusals else name)
    if not said:
        return ""
    once = "it is" if len(said) == 1 else "they are"
    return f"After three refusals in a row, not asked until {once} admitted again: {', '.join(said)}."


def _set_aside(rounds: Sequence[Round], of_sites: Sequence[Attendance]) -> Iterator[str]:
    """Who is out now, and who has been."""
    now = set_aside(rounds[-1])
    been = [one.name for one in of_sites if one.aside and one.name not in now]
    if now:
        yield f"Set aside in the last round, after three refusals in a row: {', '.join(now)}."
    if been:
        yield f"Set aside for some rounds and back since: {', '.join(been)}."


def answers_reading(rounds: Sequence[Round], of_sites: Sequence[Attendance]) -> str:
    """What a round took, and who needs longest."""
    said = f"A round took {median(entry.seconds for entry in rounds):,.1f} s (median)"
    medians = {one.name: median(one.answers_s) for one in of_sites if one.answers_s}
    if not medians:
        return f"{said}."
    slow = max(medians, key=medians.__getitem__)
    usual = median(medians.values())
    times = f", {medians[slow] / usual:.1f} times the middle hospital" if medians[slow] >= 1.2 * usual > 0 else ""
    return f"{said}; {slow} needs longest, {medians[slow]:,.1f} s{times}."


def strides_reading(of_sites: Sequence[Attendance]) -> str:
    """Who moves the weights unlike the others; of `of_sites`, one at least has strides."""
    medians = {one.name: median(one.strides) for one in of_sites if one.strides}
    unlike = sorted((one for one in medians.items() if not 0.8 < one[1] < 1.25), key=lambda one: -one[1])
    if not unlike:
        return "All hospitals move the weights about as far as the middle one of a round."
    (first, stride), *others = unlike[:_NAMED]
    said = f"{first} moves the weights {stride:.1f} times as far as the middle hospital of a round"
    said += "".join(f", {name} {stride:.1f} times" for name, stride in others)
    more = f"; {counted(len(unlike) - _NAMED, 'other')} differ, too" if unlike[_NAMED:] else ""
    return f"{said}{more}. More studies and more local steps lead further."
