"""What the experiment prints when it is done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from simulation.poisoners.run import NAME


def print_poisoning(found: Mapping[str, Any], out: Path) -> None:
    """A line a strategy and number of poisoners, and where the files are."""
    console = Console(highlight=False)
    if found["data"] == "synthetic":
        console.print("[bold]On synthetic heads, which say nothing of clinical accuracy.[/]")
    names = ("strategy", "poisoners", "test AUC (95 % CI)", f"minus honest {found['reference']} (95 % CI)", "refused")
    table = Table(*names)
    strategy = ""
    for arm in sorted(found["arms"], key=lambda arm: _place(found, arm)):
        if strategy and arm["strategy"] != strategy:
            table.add_section()
        shown = "" if arm["strategy"] == strategy else arm["strategy"]
        strategy = arm["strategy"]
        refused = str(arm["refused_updates"])
        table.add_row(shown, str(arm["poisoners"]), _auc(arm["auc"]), _difference(arm), refused)
    console.print(table)
    for kind in ("json", "svg", "png"):
        console.print(f"{kind:<6} {out / NAME}.{kind}", soft_wrap=True)


def _place(found: Mapping[str, Any], arm: Mapping[str, Any]) -> tuple[int, int]:
    strategies = [one["strategy"] for one in found["arms"]]
    return strategies.index(arm["strategy"]), arm["poisoners"]


def _auc(auc: Mapping[str, Any]) -> str:
    if auc["mean"] is None:
        return "undefined"
    between = f" ({auc['interval'][0]:.3f} to {auc['interval'][1]:.3f})" if auc["interval"] else ""
    return f"{auc['mean']:.3f}{between}"


def _difference(arm: Mapping[str, Any]) -> str:
    difference = arm["minus_reference"]
    if difference is None:
        return ""
    interval = difference["interval"]
    between = f" ({interval[0]:+.3f} to {interval[1]:+.3f})" if interval else ""
    return f"{difference['delta']:+.3f}{between}"
