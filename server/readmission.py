"""Sites that are set aside after three refusals in a row, and how they are admitted again.

Only the process that runs the rounds writes the journal. A wish of another one is left beside it, and taken up before
the next round.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from server.journal import Journal
from strategies.update_gate import set_aside

FOLDER: Final = "readmit"


def aside(journal: Journal) -> frozenset[str]:
    """Sites that are not asked in the round after those that are over, until they are admitted again."""
    outcomes, readmitted = journal.outcomes, journal.readmitted
    history: list[Mapping[str, str]] = []
    for number in range(1, len(outcomes) + 2):
        history += [_clean(site for site, of in readmitted.items() if of == number), outcomes.get(number, {})]
    return set_aside(history)


def ask_for(run_folder: Path, site: str) -> str:
    """Leave the wish, and say it; raises DataError where the site is not set aside in that run."""
    now = sorted(aside(Journal.read(run_folder)))
    if site not in now:
        raise DataError(f"{site}: is not set aside in {run_folder}; {', '.join(now) or 'nobody'} is.")
    make_folder(run_folder / FOLDER)
    write_whole(run_folder / FOLDER / site, "")
    return f"{site} is asked again from the next round on"


def readmit(journal: Journal, number: int) -> None:
    """Take up the wishes before round `number`; one for a site that is not set aside is without effect."""
    for path in sorted((journal.run_folder / FOLDER).glob("[!.]*")):
        if path.name in aside(journal):
            journal.readmit(number, path.name)
        path.unlink(missing_ok=True)


def _clean(sites: Iterable[str]) -> dict[str, str]:
    """Of `set_aside`'s history: sites without a refusal."""
    return dict.fromkeys(sites, "")
