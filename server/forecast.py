"""When a run will end, whom it waits for, and which deadline would do: from the lines of its last rounds.

The rounds last done say most of the next: the first ones prepare data, and sites change their machines. Of them the
median is taken, so that one odd round moves nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from math import ceil
from statistics import median
from typing import Any, Final

from bloodnet_model.run_metrics import NO_ANSWER, Forecast
from server.wording import clock, duration, duration_in_full

Line = Mapping[str, Any]

RECENT: Final = 5
"""How many."""
_GENEROUS: Final = 3
"""The proposed deadline over the slowest site's usual answer. A site whose machine is shared with one other job needs
twice as long, with two thrice. A late site loses its round, a deadline that is too long costs time only in those rounds
in which a site is gone, so rather more than less."""
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_WRITTEN_S: Final = (
    *(10, 20, 30),
    *(minutes * _MINUTE_S for minutes in (1, 2, 3, 5, 10, 15, 20, 30, 45)),
    *(hours * _HOUR_S for hours in (1, 2, 3, 4, 6, 8, 12, 24)),
)
"""Deadlines as a person writes them."""


def forecast(lines: Sequence[Line], planned_rounds: int, now: datetime) -> Forecast | None:
    """Of the rounds that are left, without what follows the last one; None before there is a round.

    planned_rounds: how many the run will have; of one that stopped early, how many it had
    now:            with its time zone, which is that of `ends_at`
    """
    if not lines:
        return None
    recent = lines[-RECENT:]
    seconds_a_round = median(line["seconds"] for line in recent)
    left = planned_rounds - lines[-1]["round"]
    ends_at = now + timedelta(seconds=left * seconds_a_round)
    usual = _usual_answers_s(recent)
    slowest = max(usual, key=lambda site: usual[site], default=None)
    return Forecast(
        seconds_a_round=seconds_a_round,
        ends_at=ends_at.isoformat(timespec="seconds") if left > 0 else None,
        slowest=slowest,
        slowest_s=None if slowest is None else usual[slowest],
        deadline_s=None if slowest is None else proposed_deadline_s(usual[slowest]),
    )


def proposed_deadline_s(usual_answer_s: float) -> float:
    """A generous multiple of the slowest site's usual answer, rounded up to what a person would write.

    >>> proposed_deadline_s(41), proposed_deadline_s(3)
    (180, 10)
    """
    wanted = _GENEROUS * usual_answer_s
    days = ceil(wanted / _DAY_S) * _DAY_S
    return next((written for written in _WRITTEN_S if written >= wanted), days)


def usually_late(lines: Sequence[Line], deadline_s: float) -> dict[str, tuple[int, int]]:
    """Sites that answered later than `deadline_s`, or never, in most of the last rounds: in how many of how many."""
    late: dict[str, list[bool]] = {}
    for site, entry in _asked(lines[-RECENT:]):
        took = entry.get("answered_s")
        late.setdefault(site, []).append(entry.get("reason") == NO_ANSWER or (took or 0) > deadline_s)
    return {site: (sum(each), len(each)) for site, each in sorted(late.items()) if 2 * sum(each) > len(each)}


def forecast_sentence(told: Forecast, now: datetime) -> str:
    """`ends about 14:32 (2 min a round); the slowest site is site-c with 41 s; a deadline of 3 minutes would do`."""
    pace = f"{duration(told.seconds_a_round)} a round"
    if told.ends_at is None:
        parts = [pace]
    else:
        parts = [f"ends about {clock(datetime.fromisoformat(told.ends_at), now)} ({pace})"]
    if told.slowest is not None and told.slowest_s is not None:
        parts.append(f"the slowest site is {told.slowest} with {duration(told.slowest_s)}")
    if told.deadline_s is not None:
        parts.append(f"a deadline of {duration_in_full(told.deadline_s)} would do")
    return "; ".join(parts)


def _usual_answers_s(lines: Sequence[Line]) -> dict[str, float]:
    """Median seconds from question to answer, by site, of those that answered; whether it was usable is no matter."""
    taken: dict[str, list[float]] = {}
    for site, entry in _asked(lines):
        if entry.get("answered_s") is not None and entry.get("reason") != NO_ANSWER:
            taken.setdefault(site, []).append(entry["answered_s"])
    return {site: median(seconds) for site, seconds in sorted(taken.items())}


def _asked(lines: Sequence[Line]) -> list[tuple[str, Line]]:
    """Site and its entry, of all rounds, where it was asked."""
    entries = chain.from_iterable(line["sites"].items() for line in lines)
    return [(site, entry) for site, entry in entries if entry["status"] in ("ok", "refused")]
