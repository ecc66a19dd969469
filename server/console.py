"""What a person at the coordinator's terminal sees. All of it goes to stderr, so that stdout stays for results."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from bloodnet_model.labels import CLASSES
from bloodnet_model.run_metrics import ALL, ELSEWHERE, Forecast
from server.wording import clock, duration, in_words, refusal

ANY = CLASSES[0]
_SHARES: Final = {"training": (0.0, 0.85), "validation": (0.85, 0.15)}
"""Of a round: what lies before a step, and the step's own part."""
_FEW: Final = 3
_FEW_COLUMNS: Final = 24
_SOON_S: Final = 600


class RoundsBar:
    """A bar over all answers of a run: what is being done, for whom it waits, time left."""

    def __init__(self, rounds: int, console: Console | None = None) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.fields[sites]}"),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=rounds, sites="")
        self._done, self._share = 0, (0.0, 0.0)  # whole rounds, and what the step is of the next
        self._asked, self._waiting, self._until = 0, list[str](), ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def step(self, label: str, names: Iterable[str], until: datetime | None = None) -> None:
        """A step begins; `label` is what the sites `names` are asked for, and `until` when they are given up."""
        self._waiting = list(names)
        self._asked = len(self._waiting)
        self._until = f" until {deadline_text(until, datetime.now(until.tzinfo))}" if until else ""
        self._share = _SHARES.get(label, (0.0, 0.0))
        self._bar.update(self._task, description=label)
        self._show()

    def say(self, sentence: str) -> None:
        """Something of the whole run, if anything; stays on the screen."""
        if sentence:
            self._bar.console.print(sentence, highlight=False)

    def answer(self, site: str) -> None:
        if site in self._waiting:
            self._waiting.remove(site)
        self._show()

    def done(self, number: int, sentence: str) -> None:
        """Round `number` is finished; its sentence stays on the screen."""
        self._done, self._share, self._waiting = number, (0.0, 0.0), []
        self._show()
        self._bar.console.print(sentence, highlight=False)

    def _show(self) -> None:
        before, share = self._share
        part = before + share * (1 - len(self._waiting) / max(1, self._asked))
        waits = f"{waiting_text(self._waiting, self._asked)}{self._until if self._waiting else ''}"
        self._bar.update(self._task, completed=self._done + part, sites=waits)


def waiting_text(waiting: Sequence[str], asked: int) -> str:
    """`waiting for site-b, site-c` where few are left, `waiting for 8 of 12 sites` before, `12 of 12 sites` after.

    Few are as many as can be read at a glance.
    """
    if not waiting:
        return f"{asked} of {asked} sites"
    names = ", ".join(waiting)
    if len(waiting) <= _FEW and len(names) <= _FEW_COLUMNS:
        return f"waiting for {names}"
    return f"waiting for {len(waiting)} of {asked} sites"


def deadline_text(until: datetime, now: datetime) -> str:
    """`14:40`, with seconds where they matter (a minute or two are left), with the day where it is not today's."""
    return f"{until:%H:%M:%S}" if (until - now).total_seconds() < 120 else clock(until, now)


def round_sentence(line: Mapping[str, Any], rounds: int, ends: str = "") -> str:
    """One line for a finished round, from its entry in metrics.json: 80 columns unless there was trouble.

    AUC and Dice are of validation. `ends`: when the run will, in place of the round's seconds.
    """
    by_status: dict[str, list[str]] = {"ok": [], "refused": [], "not-asked": [], "set-aside": []}
    for site, entry in line["sites"].items():
        by_status[entry["status"]].append(site)
    good, asked = len(by_status["ok"]), len(by_status["ok"]) + len(by_status["refused"])
    who = f"{good} of {asked} {'asked' if by_status['not-asked'] else 'sites'}"
    record = line["validation"]["pooled"][ANY]
    auc = auc_text(record) if record["auc"] is None else f"{record['auc']:.3f}"
    dice = "" if line["dice"] is None else f"  Dice {line['dice']:.2f}"
    time = f"ends {ends}" if ends else duration(line["seconds"])
    lost = [refusal(line["sites"][site]["reason"], site) for site in by_status["refused"]]
    aside = {"lost": lost, "set aside": by_status["set-aside"], "back": line.get("readmitted", ())}
    said = "; ".join(f"{what}: {', '.join(of)}" for what, of in aside.items() if of)
    return (
        f"round {line['round']}/{rounds}  {who}  loss {line['train_loss']:.2f}  validation AUC {auc}{dice}  "
        f"[dim]{time}[/]{f'  [yellow]{said}[/]' if said else ''}"
    )


def run_end(told: Forecast | None, now: datetime) -> str:
    """`14:32`, for `round_sentence`; nothing where the end is so near that the round's seconds say more."""
    if told is None or told.ends_at is None:
        return ""
    end = datetime.fromisoformat(told.ends_at)
    return clock(end, now) if (end - now).total_seconds() >= _SOON_S else ""


def auc_text(record: dict[str, Any]) -> str:
    """`0.884 (0.823 to 0.926)`, or why there is none."""
    if record["auc"] is None:
        return f"undefined: {_reason(record)}"
    if record["auc_low"] is None:
        return f"{record['auc']:.3f} (no interval: {_reason(record)})"
    return f"{record['auc']:.3f} ({record['auc_low']:.3f} to {record['auc_high']:.3f})"


def paired_sentence(entry: Mapping[str, Any]) -> str:
    """One line for a PairedRecord: `federated minus central: -0.011 (-0.064 to +0.042)`, or why it is undefined."""
    elsewhere = entry["patients"].startswith(ELSEWHERE)
    whose = "" if entry["patients"] == ALL else " elsewhere" if elsewhere else " at home"
    what = f"{entry['first']} minus {entry['second']}{whose}"
    if entry["delta"] is None:
        return f"{what}: undefined: {_reason(entry)}"
    if entry["low"] is None:
        return f"{what}: {entry['delta']:+.3f} (no interval: {_reason(entry)})"
    return f"{what}: {entry['delta']:+.3f} ({entry['low']:+.3f} to {entry['high']:+.3f})"


def _reason(record: Mapping[str, Any]) -> str:
    """`no positive study among 12`, without what the sentence around it says already."""
    return str(record["undefined"]).rpartition(": ")[2].rstrip(".")


def result_table(test: dict[str, Any]) -> Table:
    """Per site and pooled: studies, positives, AUC with its interval."""
    table = Table(title="Test patients: any hemorrhage", title_justify="left")
    table.add_column("site")
    table.add_column("studies", justify="right")
    table.add_column("positive", justify="right")
    table.add_column("AUC (95 % interval)")
    for site, classes in test["sites"].items():
        if "withheld" in classes:
            table.add_row(site, "–", "–", f"not given: {in_words(classes['withheld'])}")
        else:
            table.add_row(*_row(site, classes[ANY]))
    table.add_section()
    table.add_row(*_row("pooled", test["pooled"][ANY]), style="bold")
    return table


def _row(name: str, record: dict[str, Any]) -> tuple[str, str, str, str]:
    return name, str(record["studies"]), str(record["positives"]), auc_text(record)
