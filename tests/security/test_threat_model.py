"""The document names tests that exist, and no defence without one."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) > 30
    assert len(named) == TEXT.count("::")
    assert [f"{file}::{name}" for file, name in named if name not in functions_of(ROOT / file)] == []


def test_every_defence_names_its_test() -> None:
    section = TEXT.partition("## What is defended")[2].partition("\n## ")[0]
    rows = [row for row in section.splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 12
    assert [row for row in rows if "::test_" not in row.rpartition(" | ")[2]] == []
