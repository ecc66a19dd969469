"""The two authorities change places, whole or not at all: who is killed in the middle leaves what will be finished.

All files as they are to be are written beside, in a folder that takes its name when it is complete. Then each takes the
place of the one before; what still lies in the folder has not, and is moved by whoever comes next.
"""

import shutil
from pathlib import Path
from typing import Final

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_secret, write_whole
from server.certificates import AUTHORITY, AUTHORITY_KEY, is_pair, issue_server_certificate
from server.coordinator.home import Home

SECOND: Final = "second"
"""The folder of the authority that vouches for nothing now."""
_DRAFT, _NEXT = "next.part", "next"


def switch(home: Home) -> None:
    """What the door shows is of the other authority from now on; or only finish where this was begun."""
    if not finish_switch(home):
        _draft(home).rename(home.keys / _NEXT)
        finish_switch(home)


def finish_switch(home: Home) -> bool:
    """Finish what somebody was killed in the middle of, or forget it where it was not complete; whether it was."""
    complete, draft = home.keys / _NEXT, home.keys / _DRAFT
    if draft.exists():
        shutil.rmtree(draft)
    if not complete.exists():
        return False
    for path in sorted(complete.rglob("*.*")):
        path.replace(home.keys / path.relative_to(complete))
    shutil.rmtree(complete)
    return True


def _draft(home: Home) -> Path:
    """The folder with all files as they are to be, with a certificate by the other authority."""
    draft, second = home.keys / _DRAFT, home.keys / SECOND
    for here, there in ((draft, second), (draft / SECOND, home.keys)):
        if not is_pair(there / AUTHORITY, there / AUTHORITY_KEY):
            raise DataError(f"{there}: holds no readable {AUTHORITY} with its {AUTHORITY_KEY}; bring both back.")
        make_folder(here)
        here.chmod(0o700)
        write_secret(here / AUTHORITY_KEY, (there / AUTHORITY_KEY).read_bytes())
        write_whole(here / AUTHORITY, (there / AUTHORITY).read_bytes())
    issue_server_certificate(draft, home.names)
    return draft
