"""`bloodnet-server`: the coordinator's command. Heavy imports are made inside the commands."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bloodnet_model.commands import run_command
from bloodnet_model.version_option import add_version
from server import cli_coordinator

app = typer.Typer(
    help="The coordinator's side of a federation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # which fits paragraphs to the terminal
)
add_version(app)
_runs = typer.Typer()
app.add_typer(cli_coordinator.app)
app.add_typer(_runs)


class Format(StrEnum):
    """What a report is written as."""

    HTML = "html"
    JSON = "json"
    CSV = "csv"
    MD = "md"


def main() -> None:
    _reach_loopback_directly()
    run_command(app)


@_runs.command()
def resume(
    run: Annotated[Path, typer.Argument(help="Folder of a run that was stopped.", show_default=False)],
    federation: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="SuperLink connection in Flower's config.toml; its default unless given."),
    ] = None,
    from_round: Annotated[
        int,
        typer.Option(min=0, metavar="K", help="Go on after round K, and forget the later ones; 0: where it stopped."),
    ] = 0,
    coordinator: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The coordinator's folder, whose SuperLink it is; that of the run if in one."),
    ] = None,
) -> None:
    """Go on with a run that was stopped, or whose coordinator died: no finished round and no accepted update is lost.

    The SuperLink and the sites have to be up. Ctrl-C stops watching; the run goes on.
    """
    from rich.console import Console

    from server.resume import go_on
    from server.run_folder import REPORT

    go_on(run, federation, from_round, Console(stderr=True), coordinator)
    print(run / REPORT)


@_runs.command()
def readmit(
    run: Annotated[Path, typer.Argument(help="Folder of a run that is going on or was stopped.", show_default=False)],
    sites: Annotated[
        list[str], typer.Argument(metavar="SITE...", help="Sites that were set aside.", show_default=False)
    ],
) -> None:
    """Admit sites again that were set aside after three refusals in a row.

    A run that is going on takes it up before its next round.
    """
    from server.readmission import ask_for

    for site in sites:
        print(ask_for(run, site))


@_runs.command()
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


def _reach_loopback_directly() -> None:
    """A proxy of this machine's network is not for what talks on this machine: commands, SuperLink and ServerApp."""
    near = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    exempt = ",".join(dict.fromkeys([*filter(None, near.split(",")), "127.0.0.1", "localhost", "::1"]))
    os.environ.update({"NO_PROXY": exempt, "no_proxy": exempt})
