"""What an ablation prints when it is done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def print_ablation(found: Mapping[str, Any], page: Path) -> None:
    """Arms with their differences, the rule, and its verdict."""
    console = Console(highlight=False)
    console.print(_table(found))
    console.print(f"\n[dim]Rule, fixed beforehand:[/] {found['rule']}\n")
    verdict = found["verdict"]
    if verdict is None:
        console.print("The rule says nothing here: it needs dependent, independent, attention and shuffled.")
    else:
        console.print(f"[bold]The claim {_says(verdict['says'])}:[/] {verdict['why']}")
    if found["data"] == "synthetic":
        console.print("[dim]On synthetic heads, which say nothing of clinical accuracy.[/]")
    console.print(f"\nreport      {page}", soft_wrap=True)


def _says(word: str) -> str:
    return "is undecided" if word == "undecided" else word


def _table(found: Mapping[str, Any]) -> Table:
    test = found["test"]
    title = f"{test['studies']:,} test studies, {test['positives']:,} with blood, of {test['sites']} hospitals"
    table = Table(title=title, title_justify="left", title_style="")
    table.add_column("link")
    for name in ("AUC", "steps", "dependent minus it (95 % CI)"):
        table.add_column(name, justify="right")
    for link, trainings in found["arms"].items():
        auc = sum(arm["auc"] for arm in trainings) / len(trainings)
        steps = sum(arm["steps"] for arm in trainings) / len(trainings)
        table.add_row(link, f"{auc:.3f}", f"{steps:,.0f}", _difference(found["comparisons"].get(link)))
    return table


def _difference(comparison: Mapping[str, Any] | None) -> str:
    if comparison is None:
        return ""
    interval = comparison["interval"]
    between = f"{interval[0]:+.3f} to {interval[1]:+.3f}" if interval else "undefined"
    return f"{comparison['delta']:+.3f} ({between})"
