"""The table of docs/faults.md, from what was measured."""

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.faults.measure import UP, Outcome

BEGIN: Final = "<!-- written by `make bench-faults` from faults.json: change neither by hand -->"
END: Final = "<!-- end of what was written -->"
_ERROR: Final = "error: "
_HEAD: Final = (
    "fault",
    "rounds lost",
    "s until the next round (usually)",
    "same sites, same bytes",
    "what happened",
    "what to do",
)


def with_table(page: str, told: Mapping[str, Any]) -> str:
    """`page` with the table of what was measured in its place."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table(told)}{END}{after}"


def table(told: Mapping[str, Any]) -> str:
    """Markdown of the JSON beside the page: {"machine": …, "faults": {name: outcome}}."""
    rows = [_HEAD, ("---",) * len(_HEAD)]
    rows += [_row(Outcome(**outcome)) for outcome in told["faults"].values()]
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"\nMeasured on {told['machine']}, all of them shared by the coordinator and the four sites.\n\n{lines}\n"


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.title,
        str(outcome.rounds_lost),
        f"{outcome.recovery_s:.0f} ({outcome.usual_s:.0f})",
        f"{_yes(outcome.same_sites)}, {_yes(outcome.same_model)}",
        _happened(outcome),
        _to_do(outcome),
    )


def _yes(true: bool) -> str:
    return "yes" if true else "**no**"


def _happened(outcome: Outcome) -> str:
    nodes = sum(count for name, count in outcome.restarted.items() if name != UP)
    counts = {"`bloodnet-server up`": outcome.restarted.get(UP, 0), "SuperNodes": nodes}
    restarted = ", ".join(f"{name} {_times(count)}" for name, count in counts.items() if count)
    told = [f"started again by their service managers: {restarted}"] if restarted else []
    told += [f"the run stopped{_why(said)}" for said in outcome.said]
    return "; ".join(told) or "the run went on by itself"


def _why(said: str) -> str:
    """In the words of the command that watched, unless it ended without a sentence, as one does that is killed."""
    return f": “{said.removeprefix(_ERROR)}”" if said.startswith(_ERROR) else ""


def _to_do(outcome: Outcome) -> str:
    steps = [outcome.mended] if outcome.mended else []
    steps += [f"`bloodnet-server resume RUN` ({_times(outcome.resumed)})"] if outcome.resumed else []
    return ", then ".join(steps) or "nothing"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
