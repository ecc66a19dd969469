"""The arrow between the rooms, read from the imports themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "bloodnet_model": set(),
    "strategies": {"bloodnet_model"},
    "client": {"bloodnet_model", "strategies"},
    "server": {"bloodnet_model", "strategies"},
    "simulation": {"bloodnet_model", "strategies", "client", "server"},
}
ONLY_IN = {
    "pydicom": {"client", "simulation"},
    "nibabel": {"client", "simulation"},
    "flwr": {"strategies", "client", "server", "simulation"},
    "pickle": set[str](),
}


def imports(path: Path) -> Iterator[str]:
    """Top-level names of all modules a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides which room it reaches into"
            yield str(node.module).split(".")[0]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_follow_the_arrow(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        reached = set(imports(path)) & set(MAY_IMPORT) - {room}
        assert reached <= MAY_IMPORT[room], f"{path.relative_to(ROOT)} imports {reached - MAY_IMPORT[room]}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_in_their_rooms(library: str) -> None:
    for room in MAY_IMPORT:
        for path in (ROOT / room).rglob("*.py"):
            if room not in ONLY_IN[library]:
                assert library not in set(imports(path)), f"{path.relative_to(ROOT)} imports {library}"


def test_the_rooms_are_the_top_level() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT)
