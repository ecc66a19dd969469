"""What `check` prints of the network."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.network_check import NetworkCheck

_STYLES = {"ok": "green", "problem": "bold red", "warning": "yellow", "note": "dim", "not tried": "dim"}

_OPEN = {
    "ready": ("open", "bold green"),
    "ready with warnings": ("open, with warnings", "bold yellow"),
    "not ready": ("not open", "bold red"),
}


def print_network(check: NetworkCheck, path: Path, request: str | None) -> None:
    """Each step with what was found, then the request to the network team, which lies at `path`, if it is given."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for step in check.steps:
        if step.state != "not tried":
            table.add_row(Text(step.state, _STYLES[step.state]), step.name, Text(step.text))
    if untried := [step.name for step in check.steps if step.state == "not tried"]:
        table.add_row(
            Text("not tried", _STYLES["not tried"]), "", Text(f"{', '.join(untried)}: mend the problem first")
        )
    through = " through a proxy" if check.route.proxy else ""
    word, style = _OPEN[check.verdict]
    console.print(Text.assemble(f"The way to {check.route.authority}{through} is ", (word, style), "\n"))
    console.print(table)
    print(f"\nfirewall request  {path}")
    if request is not None:
        print(f"\n{request}")  # not by rich: it makes pictures of some fingerprints
