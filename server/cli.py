"""`bloodnet-server`: the coordinator's command. Heavy imports are made inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from bloodnet_model.commands import run_command

app = typer.Typer(
    help="The coordinator's side of a federation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    run_command(app)


@app.callback()
def _commands() -> None:
    """Makes Typer expect a command's name, though there is only one yet."""


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/2026-01-31-120000.")]) -> None:
    """Write report.html anew from a run's metrics.json."""
    from server.report import render_report

    print(render_report(run))
