"""`--version`, of each of the three commands."""

from importlib.metadata import version
from typing import Annotated

import typer


def add_version(app: typer.Typer) -> None:
    """Let the command that is `app` say which version is installed."""

    @app.callback()
    def _options(
        _wanted: Annotated[
            bool, typer.Option("--version", callback=_say, is_eager=True, help="Print the version and exit.")
        ] = False,
    ) -> None:
        pass


def _say(wanted: bool) -> None:
    if wanted:
        print(version("bloodnet-federation"))
        raise typer.Exit
