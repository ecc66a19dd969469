"""`bloodnet-server renew`: another certificate at the door, and another authority behind it, while runs go on.

An authority is replaced in three steps, with as much time between them as hospitals need. Of the overlap alone are
`keys/second/`, the other authority, and `keys/both-ca.crt`, which hospitals put in place of their `ca.crt`.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from server.certificates import AUTHORITY, AUTHORITY_KEY, make_authority, shown
from server.coordinator.home import Home
from server.coordinator.init import new_certificate
from server.coordinator.switching import SECOND, finish_switch, switch

BOTH: Final = f"both-{AUTHORITY}"


def renew(home: Home) -> str:
    """Another certificate by the same authority; returns what was done."""
    finish_switch(home)
    new_certificate(home)
    expires = shown(home.certificate).expires
    return f"renewed  {home.certificate}, until {expires:%d %B %Y}; hospitals need nothing new"


def _add(home: Home) -> str:
    """A second authority, which vouches for nothing yet."""
    finish_switch(home)
    second, both = home.keys / SECOND, home.keys / BOTH
    done = f"kept     {both} (there is a second authority already)"
    if not both.exists():
        make_folder(second)
        second.chmod(0o700)
        if not (second / AUTHORITY).exists():
            (second / AUTHORITY_KEY).unlink(missing_ok=True)  # of one that was killed before it had a certificate
            make_authority(second, f"BloodNet coordinator {home.settings.hosts[0]}")
        write_whole(both, home.authority.read_bytes() + (second / AUTHORITY).read_bytes())
        done = f"written  {both}"
    return (
        f"{done}\n\nFingerprint of the second authority (SHA-256):\n  {shown(second / AUTHORITY).fingerprint}\n\n"
        "Send the file to each hospital: it goes in place of its ca.crt, and its node is started again.\n"
        f"When all have done so:  bloodnet-server renew {home.folder} --authority switch"
    )


def _switch(home: Home) -> str:
    """The two change places: what the door shows is of the other from now on."""
    _require(home.keys / SECOND / AUTHORITY, home)
    switch(home)
    which = "first" if (home.keys / BOTH).read_bytes().startswith(home.authority.read_bytes()) else "second"
    return (
        f"renewed  {home.certificate}, by the {which} authority\n\n"
        "A hospital that is away now has not put the file in place, or has not started its node again; typed once\n"
        f"more, this command goes back. When all are there:  bloodnet-server renew {home.folder} --authority drop"
    )


def _drop(home: Home) -> str:
    """Forget the authority that vouches for nothing any more."""
    finish_switch(home)
    _require(home.keys / SECOND, home)
    (home.keys / BOTH).unlink(missing_ok=True)
    shutil.rmtree(home.keys / SECOND)  # the last to go, since as long as it is there this can be typed again
    return f"removed  the other authority; {home.authority} is the one that new hospitals get"


def _require(second: Path, home: Home) -> None:
    if not second.exists():
        raise DataError(f"{home.folder}: has no second authority; begin with `--authority add`.")


STEPS: Final[Mapping[str, Callable[[Home], str]]] = {"add": _add, "switch": _switch, "drop": _drop}
"""Of the replacement of the authority, in their order; each returns what was done, and what comes next.

Each raises DataError where it is not its turn.
"""
