"""`bloodnet-server`: the coordinator's command. Heavy imports are made inside the commands."""

import sys
from enum import StrEnum
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


class Format(StrEnum):
    """What a report is written as."""

    HTML = "html"
    JSON = "json"
    CSV = "csv"
    MD = "md"


def main() -> None:
    run_command(app)


@app.callback()
def _commands() -> None:
    """Makes Typer expect a command's name, though there is only one yet."""


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Folder of a run; several are set side by side.",
            show_default=False,
        ),
    ],
    form: Annotated[
        Format, typer.Option("--format", help="html is a page; json, csv and md are printed.")
    ] = Format.HTML,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File to write. Unless given, a page is the run's own report.html, or report-comparison.html here.",
        ),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for every figure as SVG and PNG, made if need be.")
    ] = None,
) -> None:
    """Write a run's report anew from its metrics.json, or set several runs side by side.

    RUN is the folder of a run, such as runs/2026-01-31-120000.
    """
    from server.report.command import text_of, write_figures, write_page, write_text

    if form is Format.HTML:
        print(write_page(runs, out))
    else:
        text = text_of(runs, form.value)
        if out is None:
            sys.stdout.write(text)
        else:
            print(write_text(text, out))
    if figures is not None:
        print(f"{write_figures(runs, figures)} figures in {figures}", file=sys.stderr)
