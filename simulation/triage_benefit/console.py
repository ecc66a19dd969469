"""The result of a triage simulation in a terminal of 80 columns."""

from typing import TYPE_CHECKING

from simulation.triage_benefit.benefit import FIRST_COME, GROUPS, Benefit
from simulation.triage_benefit.wording import GROUPS as GROUP_WORDS
from simulation.triage_benefit.wording import POLICIES, answer, findings, minutes, number, percent, signed

if TYPE_CHECKING:
    from rich.console import Console


def print_benefit(benefit: Benefit, console: "Console") -> None:
    """Every group under every policy, and below it the answer."""
    from rich import box
    from rich.table import Table

    table = Table(title="Minutes from arrival to reading", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("worklist", no_wrap=True)
    for heading in ("mean (95 % CI)", "difference", "median", "95th", "≤30 min"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in GROUPS:
        table.add_row(GROUP_WORDS[group].split(", ")[-1], style="bold")
        for policy, outcomes in benefit.outcomes.items():
            measures, difference = outcomes[group].measures, outcomes[group].differences["mean"]
            table.add_row(
                f" {POLICIES[policy].partition(',')[0]}",
                minutes(measures["mean"]),
                "–" if policy == FIRST_COME else signed(difference),
                number(measures["median"]),
                number(measures["p95"]),
                percent(measures["within_30"]),
            )
        table.add_section()
    console.print(table)
    console.print(f"{answer(benefit)}.", highlight=False, style="bold")
    for sentence in findings(benefit):
        console.print(sentence, highlight=False)
