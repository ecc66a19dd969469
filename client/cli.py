"""`bloodnet-client`: the hospital's command. Heavy imports are made inside the commands."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bloodnet_model.commands import run_command

app = typer.Typer(
    help="The hospital's side of a federation. Nothing that these commands print or write leaves the hospital.",
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
def index(
    folder: Annotated[Path, typer.Argument(help="Site folder: it holds site.yaml and labels.csv.")],
    preset: Annotated[str, typer.Option(help="Preset whose network the slices are prepared for.")] = "tiny",
    as_json: Annotated[bool, typer.Option("--json", help="Print counts alone, fit to send.")] = False,
) -> None:
    """Read a site's DICOM, prepare what can be trained on, and say why not the rest."""
    from rich.console import Console
    from rich.progress import Progress

    from bloodnet_model.settings import model_settings
    from client.dataset import SPLITS, load_site, prepare
    from client.preview import refresh_preview

    site = load_site(folder)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("preparing studies", total=None)
        data = prepare(
            site,
            model_settings(preset).preprocessing,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        print(json.dumps({"counts": data.counts(), "ledger": data.ledger_counts()}))
        return
    counts = data.counts()
    for split in SPLITS:
        print(f"{split:<11}{counts[f'{split}-studies']:>6} studies, {counts[f'{split}-positive']} positive")
    refresh_preview(data)
    print(data.ledger().summary())
    print(f"ledger      {site.ledger}\npictures    {site.preview}")
