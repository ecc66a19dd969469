"""`bloodnet-client run`: is the site ready to connect, and with what is its SuperNode started?

The process then becomes the SuperNode (`client.supernode`), so that Flower finds its environment as it is meant to be
from its first import on, and signals reach it with nobody between.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from cryptography import x509

from bloodnet_model.errors import DataError, SettingsError
from bloodnet_model.files import make_folder
from client.app import SITE_FOLDER
from client.egress import check_log
from client.keys import public_key
from client.site_settings import SITE_FILE, Site

_NEAR: Final = ("127.0.0.1", "localhost", "::1")
_QUIET: Final = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
_HOME: Final = "FLWR_HOME"
_CHILDREN: Final = {"FLWR_LOG_LEVEL": "WARNING"}
"""Of what the SuperNode starts, processes for each message, only what is wrong is logged, unless set otherwise."""


def become_node(site: Site, port: int, health: str) -> NoReturn:
    """Connect to the coordinator that site.yaml names and answer it until SIGTERM or SIGINT; then exits with code 0.

    port:   of this machine's own loopback address, on which the SuperNode and the app's processes talk
    health: HOST:PORT where gRPC's health protocol is answered
    Raises DataError or SettingsError, with the remedy, where the site is not ready to connect.
    """
    command = supernode_command(site, port)
    environment = surroundings(os.environ, site)
    make_folder(Path(environment[_HOME]))
    python = [sys.executable, "-P", "-m", "client.supernode"]  # -P: no module of the working directory
    os.execve(sys.executable, [*python, str(site.folder), health, f"{_NEAR[0]}:{port}", *command], environment)


def supernode_command(site: Site, port: int) -> list[str]:
    """What Flower's SuperNode is started with; raises DataError or SettingsError where something is missing."""
    settings = site.settings
    if settings.policy.coordinator is None:
        raise SettingsError(
            f"{site.folder / SITE_FILE}: names no coordinator; write `coordinator: HOST:PORT` below `policy:`."
        )
    key, authority = site.folder / settings.key, site.folder / settings.authority
    public_key(key)
    _require_certificate(authority)
    check_log(site.kept)
    command = ["flower-supernode", "--superlink", settings.policy.coordinator]
    command += ["--root-certificates", str(authority), "--auth-supernode-private-key", str(key)]
    command += ["--host", _NEAR[0], "--port", str(port), "--isolation", "process"]  # client.receiving starts it
    return [*command, "--node-config", f"{SITE_FOLDER}={json.dumps(str(site.folder))}"]


def surroundings(now: Mapping[str, str], site: Site) -> dict[str, str]:
    """Environment of the SuperNode and of what it starts: nothing phones home, and loopback needs no proxy.

    HTTPS_PROXY stays as it is. With HTTP_PROXY beside it the SuperNode would ask the proxy for its own processes, look
    connected, and never run anything.
    """
    near = [name for name in (now.get("no_proxy") or now.get("NO_PROXY") or "").split(",") if name]
    exempt = ",".join(dict.fromkeys([*near, *_NEAR]))
    path = f"{Path(sys.executable).parent}{os.pathsep}{now.get('PATH', '')}"
    home = now.get(_HOME) or str(site.cache / "flower")
    return {**_CHILDREN, **now, **_QUIET, _HOME: home, "PATH": path, "NO_PROXY": exempt, "no_proxy": exempt}


def _require_certificate(path: Path) -> None:
    try:
        x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); ask the coordinator for it.") from None
    except ValueError:
        raise DataError(f"{path}: is no certificate in PEM format; ask the coordinator for it again.") from None
