"""The Flower app bundle of this very installation: the code that a run brings to every site.

Built from the same files it has the same bytes, so a site can tell whether a run brings the code that it has itself.
"""

from pathlib import Path
from typing import Final

from flwr.cli.build import build_fab_from_files

_CONFIG: Final = "pyproject.toml"
_BESIDE: Final = (_CONFIG, "LICENSE")
_ROOMS: Final = ("bloodnet_model", "strategies", "client", "server")


def app_bundle() -> bytes:
    """The bundle that `flwr build` would make of the project, from the files that this process runs."""
    home = Path(__file__).resolve().parent.parent
    beside = home if (home / _CONFIG).exists() else home / "strategies"  # a wheel has no place beside the rooms
    files = {name: beside / name for name in _BESIDE}
    for room in _ROOMS:
        files |= {path.relative_to(home).as_posix(): path for path in (home / room).rglob("*.py")}
    return build_fab_from_files(files)[0]
