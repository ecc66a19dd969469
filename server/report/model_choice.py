"""Which round's model the run ends with, when it will end, and whether its deadline fits."""

from datetime import datetime

from bloodnet_model.run_metrics import Round, RoundValue, RunMetrics, Selection
from server.forecast import usually_late
from server.selection import METRICS
from server.wording import counted, duration, duration_in_full, figure


def chosen_round(metrics: RunMetrics) -> int | None:
    """The round whose model the run ends with, where that is not the last."""
    choice = metrics.selection
    if choice is None or choice.chosen == "last" or choice.best is None or choice.best.round == choice.last.round:
        return None
    return choice.best.round


def planned_rounds(metrics: RunMetrics) -> int:
    """How many the run has, as far as it is known by now."""
    return len(metrics.rounds) if metrics.selection and metrics.selection.stopped_early else metrics.run.rounds


def running(metrics: RunMetrics) -> bool:
    return metrics.test is None and len(metrics.rounds) < planned_rounds(metrics)


def choice_sentences(metrics: RunMetrics) -> str:
    """The model, the value that speaks for it, that of the other one, and whether training stopped early."""
    choice = metrics.selection
    if choice is None:
        return ""
    said = [_so_far(choice) if running(metrics) else _model(choice)]
    if choice.stopped_early:
        done = f"{len(metrics.rounds)} of {choice.planned_rounds} were done"
        said.append(
            f"Training stopped early: {counted(choice.patience, 'round')} in a row brought nothing better; {done}."
        )
    if choice.best is not None and choice.best.round != choice.last.round:
        said += _caveats(choice, {entry.round: entry for entry in metrics.rounds})
    return " ".join(said)


def _so_far(choice: Selection) -> str:
    if choice.best is None:
        return f"No round has a {_words(choice)} yet."
    where = f"in round {choice.best.round}"
    also = (
        ", the last"
        if choice.best.round == choice.last.round
        else f"; the last, round {choice.last.round}, has {_of(choice.last)}"
    )
    end = f"The run is to end with its {choice.chosen} model."
    return f"The best {_words(choice)} so far is {_of(choice.best)} {where}{also}. {end}"


def _model(choice: Selection) -> str:
    last, top, words = choice.last, choice.best, _words(choice)
    if top is None:
        return f"Round {last.round}, the last; no round has a {words} on validation patients."
    if top.round == last.round:
        return f"Round {last.round}, the last and the best on validation patients: {words} {_of(top)}."
    if choice.chosen == "best":
        return (
            f"Round {top.round}, the best on validation patients: {words} {_of(top)}; the last, round {last.round}, "
            f"has {_of(last)}."
        )
    return (
        f"Round {last.round}, the last: {words} {_of(last)} on validation patients; the best, round {top.round}, "
        f"has {_of(top)}."
    )


def _caveats(choice: Selection, rounds: dict[int, Round]) -> list[str]:
    """What to think of a figure that is the highest of many, or of fewer patients."""
    said = []
    if choice.chosen == "best":
        said.append(f"The highest of {counted(len(rounds), 'round')} flatters itself; test patients had no say in it.")
    top, last = (rounds.get(one.round) for one in (choice.best, choice.last) if one is not None)
    if top and last and (studies := _studies(top)) != _studies(last):
        said.append(
            f"Round {top.round} was validated on {studies:,} studies and the last on {_studies(last):,}: "
            "not the same hospitals answered."
        )
    return said


def _studies(entry: Round) -> int:
    return entry.validation.any_hemorrhage.studies


def _words(choice: Selection) -> str:
    return METRICS[choice.metric].words if choice.metric in METRICS else choice.metric


def _of(one: RoundValue) -> str:
    return "none" if one.value is None else figure(one.value, 3)


def end_sentence(metrics: RunMetrics) -> str:
    """When the rounds will be over; nothing of a run whose rounds are done."""
    told = metrics.forecast
    if told is None or told.ends_at is None or not running(metrics):
        return ""
    end = datetime.fromisoformat(told.ends_at)
    left = counted(planned_rounds(metrics) - len(metrics.rounds), "round")
    when = f"{end:%H:%M} on {end:%a} {end.day} {end:%b} ({end.tzname()})"
    return f"{left} to go, {duration(told.seconds_a_round)} each: the last is over about {when}; the test follows."


def deadline_sentences(metrics: RunMetrics) -> str:
    """The deadline of the run beside the one that its last rounds speak for, and who is usually late."""
    now_s, told = metrics.run.deadline_s, metrics.forecast
    if now_s is None or told is None or told.deadline_s is None:
        return ""
    now, fit = duration_in_full(now_s), duration_in_full(told.deadline_s)
    said = [f"A round waits for {now} at most; three times the slowest usual answer, rounded up, is {fit}."]
    lines = [entry.model_dump(include={"round", "sites"}) for entry in metrics.rounds]
    late = usually_late(lines, now_s)
    said += [
        f"{site} was later than that in {count} of its last {asked} rounds." for site, (count, asked) in late.items()
    ]
    return " ".join(said)
