"""Who may connect: admitted by name and key, for as long as it is not revoked, each change a line of a chained log.

The log is what counts. The SuperLink is brought in step with it, at once where it runs, else before its door opens.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

from bloodnet_model.chained_log import ChainedLog, Event
from bloodnet_model.errors import DataError
from server.coordinator.home import Home
from server.launch import NoAnswer, SuperLink, superlink
from strategies.admission import LONGEST_BYTES, Admission, verified

LOG: Final = "admissions.jsonl"
_ADMITTED, _REVOKED = "admitted", "revoked"


@dataclass(frozen=True)
class AdmittedSite:
    """A site as the log knows it; times are ISO 8601 with their zone.

    updated: when it last sent another file with the same key; empty where it never did
    """

    admission: Admission
    admitted: str
    revoked: str = ""
    updated: str = ""


def admit(home: Home, file: Path, now: datetime) -> AdmittedSite:
    """Admit the site whose IT sent `file`, or take over what one that is admitted says of its data now.

    Raises DataError or SettingsError, with what to do, where it cannot be.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(LONGEST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); give the file that the site sent.") from None
    admission = verified(content, str(file))
    _require_our_version(admission)
    with _log(home) as log:
        _require_new(admission, log)
        log.append({"event": _ADMITTED, "at": _iso(now), "admission": admission.model_dump(mode="json")})
        return _sites(log.events)[admission.site]


def revoke(home: Home, site: str, now: datetime) -> None:
    """Let a site in no longer, nor ever again with its key; raises DataError where it is not admitted."""
    with _log(home) as log:
        found = _sites(log.events).get(site)
        if found is None:
            raise DataError(f"{site}: was never admitted; `bloodnet-server sites` lists who was.")
        if found.revoked:
            raise DataError(f"{site}: was revoked already, on {found.revoked}.")
        log.append({"event": _REVOKED, "at": _iso(now), "site": site})


def admitted(home: Home) -> Mapping[str, AdmittedSite]:
    """All sites that ever were admitted, by name; raises DamagedLog where the log of them was changed."""
    path = home.sites / LOG
    return dict(sorted(_sites(ChainedLog.read(path).events).items())) if path.exists() else {}


def bring_in_step(home: Home, link: SuperLink) -> None:
    """Let in at the SuperLink who is admitted, and nobody else."""
    keys = {site.admission.public_key: name for name, site in admitted(home).items() if not site.revoked}
    nodes = link.nodes()
    for node in nodes:
        if node.public_key not in keys:
            link.unregister(node.number)
    known = {node.public_key for node in nodes}
    for key, name in keys.items():
        if key not in known:
            link.register(key, name)


def bring_running_in_step(home: Home) -> bool:
    """The same with the SuperLink of `home`; False where it does not run, and `up` will do it."""
    with superlink(home.connection) as link:
        try:
            bring_in_step(home, link)
        except NoAnswer:
            return False
    return True


@contextmanager
def _log(home: Home) -> Iterator[ChainedLog]:
    """The log, to write in; nobody else writes meanwhile."""
    path = home.sites / LOG
    try:
        opened = path.open("ab")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); make it writable.") from None
    with opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield ChainedLog.reopen(path)


def _sites(events: list[Event]) -> dict[str, AdmittedSite]:
    """The last word on each site."""
    sites: dict[str, AdmittedSite] = {}
    for event in events:
        if event["event"] == _ADMITTED:
            admission = Admission.model_validate(event["admission"])
            there = sites.get(admission.site)
            if there is not None and _is_update(admission, there):
                sites[admission.site] = replace(there, admission=admission, updated=event["at"])
            else:
                sites[admission.site] = AdmittedSite(admission, event["at"])
        else:
            sites[event["site"]] = replace(sites[event["site"]], revoked=event["at"])
    return sites


def _require_new(admission: Admission, log: ChainedLog) -> None:
    """A name is one site's at a time; a key is for once, since a SuperLink lets in no key twice."""
    found = _sites(log.events).get(admission.site)
    if found is not None and _is_update(admission, found):
        return
    earlier = [Admission.model_validate(event["admission"]) for event in log.events if event["event"] == _ADMITTED]
    for other in earlier:
        if other.public_key == admission.public_key:
            raise DataError(
                f"{admission.site}: its key is known already, as that of {other.site}; a site that was revoked, or is "
                "another, makes a key of its own with `bloodnet-client init`."
            )
    if found is not None and not found.revoked:
        raise DataError(
            f"{admission.site}: is admitted already, with another key; if that key was replaced, "
            f"`bloodnet-server revoke` it first; if this is another hospital, it needs another name."
        )


def _is_update(admission: Admission, there: AdmittedSite) -> bool:
    """Whether it is of a site that is admitted, by the key that it is admitted with."""
    return not there.revoked and there.admission.public_key == admission.public_key


def _require_our_version(admission: Admission) -> None:
    """Both sides have to run the same code: a site runs no bundle but that of its own version."""
    ours, theirs = version("bloodnet-federation"), admission.version
    if theirs == ours:
        return
    try:
        behind = Version(theirs) < Version(ours)
    except InvalidVersion:
        behind = True
    if behind:
        told, remedy = "an older version than this coordinator", f"upgrade {admission.site} to {ours}"
    else:
        told, remedy = "a newer version than this coordinator", f"upgrade this coordinator to {theirs}"
    raise DataError(f"{admission.site}: has {told}, {theirs} and {ours}; {remedy}.")


def _iso(now: datetime) -> str:
    return now.isoformat(timespec="seconds")
