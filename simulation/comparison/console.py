"""What a comparison prints when it is done."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from simulation.comparison.page import headline, sentences


def print_comparison(found: Mapping[str, Any], page: Path) -> None:
    """The answer, the differences on all patients, and each hospital's gain."""
    console = Console(highlight=False)
    console.print(f"[bold]{headline(found)}[/]")
    for sentence in sentences(found):
        console.print(sentence)
    reference = found["reference"]
    table = Table(title=f"\n{reference} minus", title_justify="left", title_style="")
    for name in ("", "AUC", "difference (95 % CI)"):
        table.add_column(name, justify="left" if not name else "right")
    for name, one in found["differences"].items():
        table.add_row(name, *_figures(one))
    for of, words in (("own", "on its own patients"), ("others", "on all others'")):
        table.add_section()
        for name, both in found["hospitals"].items():
            table.add_row(f"{name} alone, {words}", *_figures(both[of]))
    console.print(table)
    if found["data"] == "synthetic":
        console.print("[dim]On synthetic heads, which say nothing of clinical accuracy.[/]")
    console.print(f"\nreport      {page}", soft_wrap=True)


def _figures(one: Mapping[str, Any]) -> tuple[str, str]:
    if one["delta"] is None:
        return "", "undefined"
    interval = one["interval"]
    between = f"{interval[0]:+.3f} to {interval[1]:+.3f}" if interval else "undefined"
    return f"{fmean(one['auc_second']):.3f}", f"{one['delta']:+.3f} ({between})"
