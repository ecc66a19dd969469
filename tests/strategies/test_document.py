"""docs/strategies.md names what the code has."""

import re
from pathlib import Path

from bloodnet_model.settings import Settings
from simulation.cli_options import STRATEGY_HELP
from strategies.registry import STRATEGIES

ROOT = Path(__file__).parent.parent.parent


def test_every_strategy_is_documented_with_its_parameters_and_defaults() -> None:
    table = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    rows = {row[0]: row for row in (re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()) if len(row) == 5}
    documented = {name.strip(" `"): row[3].strip() for name, row in rows.items() if name.strip().startswith("`")}
    del documented["module:Class"]
    assert documented == {name: _parameters(kind) for name, kind in STRATEGIES.items()}


def _parameters(kind: type[Settings]) -> str:
    fields = {name: field.default for name, field in kind.model_fields.items()}
    said = [f"`{name}` {f'`{value}`' if isinstance(value, str) else value}" for name, value in fields.items()]
    return ", ".join(said) or "none"


def test_the_help_lists_every_strategy() -> None:
    assert STRATEGY_HELP.startswith(", ".join(STRATEGIES))


def test_every_strategy_opens_with_its_paper() -> None:
    for kind in STRATEGIES.values():
        source = (ROOT / (kind.__module__.replace(".", "/") + ".py")).read_text(encoding="utf-8")
        assert "https://" in source.split('"""')[1], kind
