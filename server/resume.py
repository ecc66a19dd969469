"""Going on with a run of a real federation that was stopped: its run folder says what it was, its journal where."""

import time
from pathlib import Path
from typing import Any, Final

import yaml
from flwr.cli.typing import SuperLinkConnection
from rich.console import Console

from bloodnet_model.errors import DataError, SettingsError
from server.app import FROM_ROUND, OUT, RESUME, WHERE_IT_STOPPED
from server.coordinator.home import CONFIG as COORDINATOR
from server.coordinator.home import read_home
from server.journal import FOLDER, Journal, require_over
from server.launch import SuperLink, connection_named, superlink, watch
from server.run_folder import CONFIG, REPORT
from server.settings import RunSettings, run_settings, to_run_config

_GIVEN_UP_S: Final = 75.0
"""After how long, at the latest, a SuperLink sees that a ServerApp was killed."""
_POLL_S: Final = 1.0


def go_on(run: Path, federation: str | None, from_round: int, console: Console, home: Path | None = None) -> None:
    """Start the run in the folder `run` again where it stopped, or after a round, and say its rounds to the end.

    federation: name of a SuperLink connection of Flower's config.toml
    home:       a coordinator's folder, whose SuperLink it is; unless one of both is given, that which `run` lies in, or
        else Flower's default connection
    Raises DataError or SettingsError where this cannot be, RoundError where the run fails or nobody answers.
    """
    settings = resumable(run, from_round)
    with superlink(_connection(run, federation, home)) as link:
        _require_nobody_in(run, link, console)
        config = {**to_run_config(settings), OUT: str(run.resolve()), RESUME: True, FROM_ROUND: from_round}
        number = link.start(config)
        console.print(f"run {number} on {link.name} goes on with {run}", highlight=False)
        with console.status(f"run {number}"):
            watch(link, number, run, settings.rounds, console)


def resumable(run: Path, from_round: int = WHERE_IT_STOPPED) -> RunSettings:
    """Settings of the run in the folder `run`; raises DataError where it cannot go on, and says what to do instead."""
    settings = run_settings(_config(run))
    if "sources" in settings.data:
        raise DataError(f"{run}: is a simulation's; go on with it by `bloodnet-simulate run --resume {run}`.")
    if not (run / FOLDER).is_dir():
        raise DataError(f"{run}: keeps no journal, so nobody knows where it stopped; begin the run anew.")
    if from_round != WHERE_IT_STOPPED:
        require_over(run, from_round)
    elif Journal.read(run).is_finished:
        raise DataError(f"{run}: is finished; its report is {run / REPORT}.")
    return settings


def _connection(run: Path, federation: str | None, home: Path | None) -> SuperLinkConnection:
    if home is None and federation is None:
        home = next((folder for folder in run.resolve().parents if (folder / COORDINATOR).exists()), None)
    if home is None:
        return connection_named(federation)
    if federation is not None:
        raise SettingsError("--federation and --coordinator name two SuperLinks; give one of them.")
    return read_home(home).connection


def _config(run: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
    except OSError:
        raise DataError(f"{run}: holds no {CONFIG}; give the folder of a run.") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raw = None
    if not isinstance(raw, dict):
        raise DataError(f"{run / CONFIG}: holds no settings; bring it back from a backup.")
    return raw


def _require_nobody_in(run: Path, link: SuperLink, console: Console) -> None:
    """Two ServerApps would write the same files. One that was killed counts as running for a while."""
    end = time.monotonic() + _GIVEN_UP_S
    while (other := link.run_in(run)) is not None:
        if time.monotonic() > end:
            raise DataError(f"{run}: run {other} on {link.name} works in it; `flwr stop {other} {link.name}` ends it.")
        with console.status(f"run {other} counts as running here; seeing whether it is"):
            time.sleep(_POLL_S)
