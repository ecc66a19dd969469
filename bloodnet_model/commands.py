"""What the three commands share: where their rooms lie, and how a mistake is said."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bloodnet_model.errors import BloodNetError, RoundError
from bloodnet_model.garbage import leave_as_it_is, search_seldom

if TYPE_CHECKING:
    from rich.console import Console

OnProgress = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""

ROOMS = ("bloodnet_model", "strategies", "client", "server", "simulation")


def run_command(command: Callable[[], None]) -> None:
    """Run a command line: one sentence on stderr for a user's mistake (exit code 2) or a failed run (1)."""
    search_seldom()
    try:
        _check_rooms()
        command()
    except BloodNetError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1 if isinstance(error, RoundError) else 2)
    finally:
        leave_as_it_is()


@contextmanager
def bars(console: "Console") -> Iterator[OnProgress]:
    """A progress bar for each stage, gone when all is done; a log file gets none."""
    if not console.is_interactive:
        yield lambda _stage, _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def on_progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield on_progress


def _check_rooms() -> None:
    """`client` and `server` are common names: another package called so would be imported in place of ours."""
    home = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        spec = find_spec(room)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found is not None and found.parent != home:
            raise BloodNetError(
                f"{found}: shadows this project's folder {room!r}; install the project in an environment of its own."
            )
