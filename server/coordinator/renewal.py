"""`bloodnet-server renew`: another certificate at the door, and another authority behind it, while runs go on.

An authority is replaced in three steps, with as much time between them as hospitals need. Of the overlap alone are
`keys/second/`, the other authority, and `keys/both-ca.crt`, which hospitals put in place of their `ca.crt`.
"""

import shutil
from collections.abc import Callable, Mapping
from typing import Final

from bloodnet_model.errors import DataError
from bloodnet_model.files import make_folder, write_whole
from server.certificates import AUTHORITY, AUTHORITY_KEY, make_authority, shown
from server.coordinator.home import Home
from server.coordinator.init import new_certificate

BOTH: Final = f"both-{AUTHORITY}"
_SECOND: Final = "second"


def renew(home: Home) -> str:
    """Another certificate by the same authority; returns what was done."""
    new_certificate(home)
    expires = shown(home.certificate).expires
    return f"renewed  {home.certificate}, until {expires:%d %B %Y}; hospitals need nothing new"


def _add(home: Home) -> str:
    """A second authority, which vouches for nothing yet."""
    second, both = home.keys / _SECOND, home.keys / BOTH
    done = f"kept     {both} (there is a second authority already)"
    if not both.exists():
        make_folder(second)
        second.chmod(0o700)
        if not (second / AUTHORITY).exists():
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
    _require_second(home)
    for name in (AUTHORITY_KEY, AUTHORITY):
        here, there, spare = home.keys / name, home.keys / _SECOND / name, home.keys / f"{name}.spare"
        here.rename(spare)
        there.rename(here)
        spare.rename(there)
    new_certificate(home)
    return (
        f"renewed  {home.certificate}, by the second authority\n\n"
        "A hospital that is away now has not put the file in place, or has not started its node again; typed once\n"
        f"more, this command goes back. When all are there:  bloodnet-server renew {home.folder} --authority drop"
    )


def _drop(home: Home) -> str:
    """Forget the authority that vouches for nothing any more."""
    _require_second(home)
    shutil.rmtree(home.keys / _SECOND)
    (home.keys / BOTH).unlink(missing_ok=True)
    return f"removed  the other authority; {home.authority} is the one that new hospitals get"


def _require_second(home: Home) -> None:
    if not (home.keys / _SECOND / AUTHORITY).exists():
        raise DataError(f"{home.folder}: has no second authority; begin with `--authority add`.")


STEPS: Final[Mapping[str, Callable[[Home], str]]] = {"add": _add, "switch": _switch, "drop": _drop}
"""Of the replacement of the authority, in their order; each returns what was done, and what comes next.

Each raises DataError where it is not its turn.
"""
