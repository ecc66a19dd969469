"""What a person at the coordinator's terminal sees. All of it goes to stderr, so that stdout stays for results."""

from collections.abc import Mapping
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from bloodnet_model.labels import CLASSES
from bloodnet_model.run_metrics import ALL, ELSEWHERE

ANY = CLASSES[0]
_SHARES: Final = {"training": (0.0, 0.85), "validation": (0.85, 0.15)}
"""Of a round: what lies before a step, and the step's own part."""


class RoundsBar:
    """A bar over all answers of a run: what is being done, who answered, time left."""

    def __init__(self, rounds: int, console: Console | None = None) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("rounds"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[sites]}"),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=rounds, sites="")
        self._done = 0  # whole rounds
        self._expected, self._answered, self._share = 0, 0, (0.0, 0.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def step(self, label: str, sites: int) -> None:
        """A step begins; `label` is what the sites are asked for."""
        self._expected, self._answered = sites, 0
        self._share = _SHARES.get(label, (0.0, 0.0))
        self._bar.update(self._task, description=label)
        self._show()

    def say(self, sentence: str) -> None:
        """Something of the whole run, if anything; stays on the screen."""
        if sentence:
            self._bar.console.print(sentence, highlight=False)

    def answer(self, site: str) -> None:
        self._answered += 1
        self._show()

    def done(self, number: int, sentence: str) -> None:
        """Round `number` is finished; its sentence stays on the screen."""
        self._done, self._share = number, (0.0, 0.0)
        self._show()
        self._bar.console.print(sentence, highlight=False)

    def _show(self) -> None:
        before, share = self._share
        part = before + share * self._answered / max(1, self._expected)
        sites = f"{self._answered} of {self._expected} sites"
        self._bar.update(self._task, completed=self._done + part, sites=sites)


def round_sentence(line: dict[str, Any], rounds: int) -> str:
    """One line of at most 80 columns for a finished round, from its entry in metrics.json; AUC is of validation."""
    sites = line["sites"]
    good = [site for site, entry in sites.items() if entry["status"] == "ok"]
    bad = [f"{site} {entry['reason']}" for site, entry in sites.items() if entry["status"] != "ok"]
    dice = "" if line["dice"] is None else f"  Dice {line['dice']:.2f}"
    trouble = f"  [yellow]lost this round: {', '.join(bad)}[/]" if bad else ""
    record = line["validation"]["pooled"][ANY]
    auc = auc_text(record) if record["auc"] is None else f"{record['auc']:.3f}"
    return (
        f"round {line['round']}/{rounds}  {len(good)} of {len(sites)} sites  loss {line['train_loss']:.2f}  "
        f"validation AUC {auc}{dice}  [dim]{line['seconds']:.0f} s[/]{trouble}"
    )


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
            table.add_row(site, "–", "–", f"not given: {classes['withheld']}")
        else:
            table.add_row(*_row(site, classes[ANY]))
    table.add_section()
    table.add_row(*_row("pooled", test["pooled"][ANY]), style="bold")
    return table


def _row(name: str, record: dict[str, Any]) -> tuple[str, str, str, str]:
    return name, str(record["studies"]), str(record["positives"]), auc_text(record)
