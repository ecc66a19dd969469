"""The commands of the coordinator's own machine: who may connect, and the door that they connect through."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The coordinator's folder.", show_default=False)]


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder; made if need be.", show_default=False)],
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address that hospitals reach this server by; may be repeated.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The one port that hospitals reach; 443 unless given.")
    ] = None,
) -> None:
    """Make the coordinator's folder: authority, certificate, settings and proxy.

    Typed again it keeps the authority, which hospitals trust, and renews a certificate that expires within 60 days or
    is for other hosts.
    """
    from server.coordinator.init import initialise

    made = initialise(folder, host or [], port)
    for line in made.done:
        print(line)
    print(f"\nFingerprint of the authority (SHA-256), to be read out to hospitals:\n  {made.fingerprint}\n")
    print(f"Send {made.home.authority} to each hospital, and get its admission file. Then:")
    print(f"  bloodnet-server admit {folder} SITE.admission.json\n  bloodnet-server up {folder}")
