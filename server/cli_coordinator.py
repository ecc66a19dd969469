"""The commands of the coordinator's own machine: who may connect, and the door that they connect through."""

from enum import StrEnum
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


class Authority(StrEnum):
    """Steps of replacing the authority."""

    ADD = "add"
    SWITCH = "switch"
    DROP = "drop"


@app.command()
def renew(
    folder: Folder,
    authority: Annotated[
        Authority | None, typer.Option(help="Replace the authority, too, in three steps: add, switch, drop.")
    ] = None,
) -> None:
    """Another server certificate, while runs go on; hospitals need nothing new.

    Where `up` runs, its door shows the new one within a second. The authority, which hospitals trust, lasts ten years.
    """
    from server.coordinator.home import read_home
    from server.coordinator.renewal import STEPS
    from server.coordinator.renewal import renew as renewed

    home = read_home(folder)
    print(renewed(home) if authority is None else STEPS[authority.value](home))


@app.command()
def admit(
    folder: Folder,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="SITE.admission.json of each site.", show_default=False)
    ],
) -> None:
    """Admit hospitals by the files that their IT sent.

    Read the key's fingerprint out on the telephone: only the hospital can say whether it is its own. A file that a
    hospital sends once more, after it has indexed its data, takes the place of the one before.
    """
    from datetime import datetime

    from server.coordinator.admissions import admit as admitted
    from server.coordinator.admissions import bring_running_in_step
    from server.coordinator.home import read_home
    from server.coordinator.site_list import admitted_sentence

    home = read_home(folder)
    for file in files:
        print(admitted_sentence(admitted(home, file, datetime.now().astimezone())))
    print(_effect(bring_running_in_step(home)))


@app.command()
def revoke(
    folder: Folder,
    sites: Annotated[list[str], typer.Argument(metavar="SITE...", help="Who is out.", show_default=False)],
) -> None:
    """Let hospitals in no longer. To come back, a site makes a new key and is admitted with it."""
    from datetime import datetime

    from server.coordinator.admissions import bring_running_in_step
    from server.coordinator.admissions import revoke as revoked
    from server.coordinator.home import read_home

    home = read_home(folder)
    for site in sites:
        revoked(home, site, datetime.now().astimezone())
        print(f"{site} is revoked")
    print(_effect(bring_running_in_step(home)))


@app.command()
def sites(folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Who is admitted: version, key, since when, last seen, revoked."""
    import json

    from rich.console import Console

    from server.coordinator.home import read_home
    from server.coordinator.site_list import listed, site_view

    found = listed(read_home(folder))
    if as_json:
        print(json.dumps([site.to_json() for site in found]))
    else:
        Console().print(site_view(found))


def _effect(is_up: bool) -> str:
    return "The SuperLink knows." if is_up else "The SuperLink does not run; `bloodnet-server up` will tell it."


@app.command()
def up(folder: Folder) -> None:
    """Open the door to hospitals: SuperLink and nginx in the foreground, until Ctrl-C or SIGTERM.

    If nginx dies, it is started again. Exit code 1 where the SuperLink dies; let a service manager start `up` again.
    """
    import sys

    from server.coordinator.home import read_home
    from server.coordinator.up import serve

    serve(read_home(folder), lambda sentence: print(sentence, file=sys.stderr, flush=True))


@app.command()
def health(folder: Folder) -> None:
    """Ask whether SuperLink and nginx answer: exit code 0 if both do, 1 if not. For a container's health check."""
    from server.coordinator.health import silent
    from server.coordinator.home import read_home

    mute = silent(read_home(folder))
    print(f"no answer from {' and '.join(mute)}" if mute else "the SuperLink and nginx answer")
    raise typer.Exit(1 if mute else 0)


@app.command()
def launch(
    folder: Folder,
    config: Annotated[Path | None, typer.Option(help="Settings of the run; --set goes before them.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting, such as rounds=12; repeatable.")
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(help="Site that takes part; may be repeated. All that are admitted unless given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run folder; DIR/runs/DATE-TIME unless given.")
    ] = None,
) -> None:
    """Start a run with named sites, and watch it: for whom it waits, and every round.

    Ctrl-C stops watching; the run goes on, and `stop` ends it.
    """
    from datetime import datetime

    from rich.console import Console

    from server.coordinator.home import read_home
    from server.coordinator.launching import launch as start
    from server.coordinator.launching import launched_settings
    from server.run_folder import REPORT

    home = read_home(folder)
    settings = launched_settings(home, config, changes or [], site or [])
    run = out or home.runs / f"{datetime.now():%Y-%m-%d-%H%M%S}"
    start(home, settings, run, Console(stderr=True))
    print(run / REPORT)


@app.command()
def stop(
    folder: Folder,
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Its run folder; the only one that goes on unless given.")
    ] = None,
) -> None:
    """End a run. No finished round and no accepted update is lost."""
    from server.coordinator.home import read_home
    from server.coordinator.launching import stop as stopped

    print(f"stopped; to go on:  bloodnet-server resume {stopped(read_home(folder), run)} --coordinator {folder}")


@app.command()
def status(
    folder: Folder,
    once: Annotated[bool, typer.Option("--once", help="Print it once, and do not watch.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it once, as JSON.")] = False,
) -> None:
    """Who is connected, working, late, refused or set aside, for how long; when runs end; certificates."""
    import json
    from datetime import datetime

    from rich.console import Console

    from server.coordinator.home import read_home
    from server.coordinator.status import status_of
    from server.coordinator.status_table import status_view, watch_status

    home, console = read_home(folder), Console()
    now = datetime.now().astimezone()
    if as_json:
        print(json.dumps(status_of(home, now).to_json()))
    elif once or not console.is_terminal:
        console.print(status_view(status_of(home, now), now))
    else:
        watch_status(lambda: status_of(home, datetime.now().astimezone()), console)
