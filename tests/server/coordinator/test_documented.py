"""docs/coordinator.md lists the commands and the states that there are."""

import re
from pathlib import Path

from server.cli_coordinator import app
from server.coordinator import status

TEXT = (Path(__file__).parents[3] / "docs" / "coordinator.md").read_text()
STATES = (
    *(status.AWAY, status.CONNECTED, status.WORKING, status.ANSWERED),
    *(status.LATE, status.REFUSED_NOW, status.SET_ASIDE, status.NOT_ADMITTED),
)


def test_every_command_has_its_line() -> None:
    commands = {str(command.callback and command.callback.__name__) for command in app.registered_commands}
    assert commands | {"resume", "report"} == set(re.findall(r"^\| `([a-z]+) (?:DIR|RUN)", TEXT, re.MULTILINE))


def test_every_state_has_its_line() -> None:
    section = TEXT.partition("## What `status` says of a site")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall("`([a-z ]+)`", row)) == sorted(STATES)
