"""Making a coordinator's folder, or bringing it up to date: what hospitals trust is made once and kept."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from bloodnet_model.errors import DataError, SettingsError
from bloodnet_model.files import make_folder, write_whole
from bloodnet_model.settings import validated
from server.certificates import (
    AUTHORITY_KEY,
    INNER_KEY,
    SERVER_KEY,
    is_pair,
    issue_server_certificate,
    make_authority,
    make_inner_certificate,
    shown,
)
from server.coordinator.home import CONFIG, LOOPBACK, LOOPBACK_NAME, CoordinatorSettings, Home, read_home
from server.coordinator.proxy import write_proxy
from server.coordinator.switching import finish_switch

RENEWED_DAYS: Final = 60
"""A certificate that has no more days left is renewed, and `status` speaks of it."""


@dataclass(frozen=True)
class Initialised:
    """A coordinator's folder that is ready, and what was done to it."""

    home: Home
    done: tuple[str, ...]
    fingerprint: str


def initialise(folder: Path, hosts: Sequence[str], port: int | None) -> Initialised:
    """Make the coordinator of `folder`, or bring its certificate and proxy up to date with its settings.

    hosts, port: of a coordinator that is there already, these replace its own; empty and None leave them
    Raises SettingsError for a bad host or none, DataError for the folder of something else.
    """
    existing = _existing(folder)
    given: dict[str, Any] = ({"hosts": tuple(hosts)} if hosts else {}) | ({} if port is None else {"port": port})
    if existing is None and not hosts:
        raise SettingsError("--host is missing; say by which name hospitals reach this server, like fl.example.org.")
    before = existing.settings.model_dump() if existing else {}
    home = Home(folder.resolve(), validated(CoordinatorSettings, before | given))
    _make_folders(home)
    finish_switch(home)
    done = [*_settings(home, existing), *_authority(home), *_certificate(home)]
    require_inner_certificate(home)
    write_proxy(home)
    return Initialised(home, tuple(done), shown(home.authority).fingerprint)


def _existing(folder: Path) -> Home | None:
    if (folder / CONFIG).exists():
        return read_home(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: holds something else, and no {CONFIG}; give a new or an empty folder.")
    return None


def _make_folders(home: Home) -> None:
    """All that is in them is for their owner alone."""
    try:
        for folder in home.folders:
            make_folder(folder)
            folder.chmod(0o700)
    except OSError as error:
        raise DataError(f"{home.folder}: cannot be made private ({error.strerror}); use a folder of yours.") from None


def _settings(home: Home, existing: Home | None) -> list[str]:
    path = home.folder / CONFIG
    if existing is not None and existing.settings == home.settings:
        return [f"kept     {path}"]
    told = home.settings.model_dump(mode="json")
    write_whole(path, yaml.safe_dump(told, sort_keys=False))
    os.chmod(path, 0o600)  # noqa: PTH101
    return [f"written  {path}"]


def _authority(home: Home) -> list[str]:
    """An authority is never made anew: with another, no hospital could connect."""
    if home.authority.exists():
        return [f"kept     {home.authority} (hospitals trust it)"]
    if (home.keys / AUTHORITY_KEY).exists():
        raise DataError(f"{home.authority}: is gone, and its key is there; bring it back from a backup.")
    make_authority(home.keys, f"BloodNet coordinator {home.settings.hosts[0]}")
    return [f"written  {home.authority}"]


def _certificate(home: Home) -> list[str]:
    path, done = home.certificate, f"written  {home.certificate}"
    if path.exists():
        now, intact = shown(path), is_pair(path, home.keys / SERVER_KEY)
        left = now.days_left(datetime.now(UTC))
        if intact and now.hosts == set(home.names) and left > RENEWED_DAYS:
            return [f"kept     {path} (for {left} more days)"]
        reason = f"it had {left} days left" if left <= RENEWED_DAYS else "the hosts have changed"
        done = f"renewed  {path} ({reason if intact else 'its key was another'}; hospitals need nothing new)"
    new_certificate(home)
    return [done]


def new_certificate(home: Home) -> None:
    """Of the door, by the authority; where `up` runs, it is shown within a second."""
    issue_server_certificate(home.keys, home.names)


def require_inner_certificate(home: Home) -> None:
    """Make the one between nginx and the SuperLink, where there is none that lasts."""
    intact = is_pair(home.inner, home.keys / INNER_KEY)
    if not intact or shown(home.inner).days_left(datetime.now(UTC)) <= RENEWED_DAYS:
        make_inner_certificate(home.keys, [LOOPBACK_NAME, LOOPBACK])
