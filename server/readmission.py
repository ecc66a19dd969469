"""Admitting again a site that was set aside, from another process than the one that runs the rounds.

Only that one writes the journal; so the wish is left beside it, and taken up before the next round.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from server.journal import FOLDER as JOURNAL

if TYPE_CHECKING:
    from server.federation import Federation

FOLDER: Final = "readmit"


def ask_for(run_folder: Path, site: str) -> None:
    """Leave the wish; raises DataError where the folder holds no run."""
    if not (run_folder / JOURNAL).is_dir():
        raise DataError(f"{run_folder}: holds no run with a journal; give the folder of a run.")
    make_folder(run_folder / FOLDER)
    write_whole(run_folder / FOLDER / site, "")


def readmit(federation: "Federation", number: int) -> None:
    """Take up the wishes before round `number`; one for a site that is not set aside is without effect."""
    for path in sorted((federation.journal.run_folder / FOLDER).glob("[!.]*")):
        if path.name in federation.aside:
            federation.journal.readmit(number, path.name)
        path.unlink(missing_ok=True)
