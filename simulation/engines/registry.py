"""The engines by name, behind one function."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bloodnet_model.errors import SettingsError
from server.app import FROM_ROUND, OUT, RESUME
from server.settings import RunSettings, to_run_config
from simulation.engines.local import run_local
from simulation.engines.loopback import run_loopback
from simulation.engines.ray import check_ray, run_ray

LOCAL_ENGINE: Final = "local"
ENGINES: Final = {LOCAL_ENGINE: run_local, "ray": run_ray, "loopback": run_loopback}


def check_engine(engine: str) -> None:
    """Raises SettingsError where there is no such engine, or it is not installed."""
    if engine not in ENGINES:
        raise SettingsError(f"--engine {engine}: there is none of this name; choose among {', '.join(ENGINES)}.")
    if ENGINES[engine] is run_ray:
        check_ray()


def run_with(
    engine: str, settings: RunSettings, sites: Sequence[Path], out: Path, workers: int, go_on: int | None = None
) -> None:
    """Run `settings` over the site folders `sites` into the folder `out`.

    go_on: go on with the run in `out`, after this round, or with 0 from where it stopped

    The engine is no setting of the run: the same bytes come from each of them, and one goes on where another stopped.
    """
    config = {**to_run_config(settings), OUT: str(out.resolve()), RESUME: go_on is not None, FROM_ROUND: go_on or 0}
    ENGINES[engine](config, [site.resolve() for site in sites], workers)
