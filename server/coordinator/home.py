"""The coordinator's folder: its settings, and where what belongs to it lies.

coordinator.yaml · keys/ · nginx/ · flower/ · sites/ · runs/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import yaml
from flwr.cli.typing import SuperLinkConnection
from pydantic import Field, field_validator

from bloodnet_model.errors import DataError
from bloodnet_model.settings import Settings, validated
from server.certificates import AUTHORITY, INNER, SERVER, host_name

CONFIG: Final = "coordinator.yaml"
LOOPBACK: Final = "127.0.0.1"
LOOPBACK_NAME: Final = "localhost"
"""By which nginx knows the SuperLink: it holds certificates against names alone, and not against addresses."""
ListenAddress = Annotated[str, Field(pattern=r"^([0-9.]+|\[[0-9A-Fa-f:.]+\])$")]


class CoordinatorSettings(Settings):
    """What `coordinator.yaml` says."""

    hosts: tuple[str, ...] = Field(min_length=1, description="names and addresses that hospitals reach this server by")
    port: int = Field(443, ge=1, le=65535, description="the one port that is open to hospitals")
    listen: tuple[ListenAddress, ...] = Field(
        ("0.0.0.0",), min_length=1, description="own addresses to listen on; [::] for IPv6"
    )
    superlink_port: int = Field(8000, ge=1, le=65535, description="of this machine alone, for runs and commands")

    @field_validator("hosts")
    @classmethod
    def _names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            host_name(host)
        return tuple(dict.fromkeys(hosts))


@dataclass(frozen=True)
class Home:
    """A coordinator's folder and settings."""

    folder: Path
    settings: CoordinatorSettings

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def authority(self) -> Path:
        """The certificate that hospitals trust, and get."""
        return self.keys / AUTHORITY

    @property
    def certificate(self) -> Path:
        return self.keys / SERVER

    @property
    def inner(self) -> Path:
        """The SuperLink's own certificate, which nobody but this machine sees."""
        return self.keys / INNER

    @property
    def nginx(self) -> Path:
        return self.folder / "nginx"

    @property
    def flower(self) -> Path:
        """Flower's own files: the database with runs and registrations, and what it unpacks."""
        return self.folder / "flower"

    @property
    def database(self) -> Path:
        return self.flower / "state.db"

    @property
    def sites(self) -> Path:
        """Who was admitted, by what file."""
        return self.folder / "sites"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def folders(self) -> Sequence[Path]:
        """All that nobody else may read."""
        return (self.folder, self.keys, self.nginx, self.flower, self.sites, self.runs)

    @property
    def names(self) -> Sequence[str]:
        """By which the door is reached: its certificate holds for these."""
        return (*self.settings.hosts, LOOPBACK, LOOPBACK_NAME)

    @property
    def connection(self) -> SuperLinkConnection:
        """How commands on this machine reach the SuperLink."""
        address = f"{LOOPBACK}:{self.settings.superlink_port}"
        return SuperLinkConnection(str(self.folder), address, str(self.inner))


def read_home(folder: Path) -> Home:
    """The coordinator of `folder`; raises DataError for a missing or unreadable file, SettingsError for its words."""
    path = folder / CONFIG
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder}: is no coordinator's folder; make one with `bloodnet-server init`.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raw = None
    if not isinstance(raw, dict):
        raise DataError(f"{path}: cannot be read as settings; correct it, or bring it back from a backup.")
    return Home(folder.resolve(), validated(CoordinatorSettings, {str(key): raw[key] for key in raw}, str(path)))
