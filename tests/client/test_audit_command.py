"""`bloodnet-client audit` as hospital IT types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.audit import Audit, audit
from client.audit_table import print_audit
from client.cli import app
from client.egress import LOG, write_down
from client.terminal import printable
from tests.client.test_egress import line

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text("name: a\ndicom: [d]\n")
    return tmp_path


def filled(folder: Path) -> Path:
    kept = folder / ".bloodnet" / "kept"
    write_down(kept, line(0, kind="query.roll_call", norm=None, run="first"))
    write_down(kept, line(1, bytes=1234567, clipped=3.5, norm=2.0, run="first"))
    write_down(kept, line(1, code="quiet-hours", norm=None, run="second"))
    write_down(kept, line(2, kind="evaluate", norm=None, run="first"))
    return kept / LOG


def test_what_left_is_shown_by_run_with_its_norm(folder: Path) -> None:
    filled(folder)
    shown = RUNNER.invoke(app, ["audit", str(folder)], env={"COLUMNS": "120"})
    assert shown.exit_code == 0
    lines = [each.strip() for each in shown.stdout.splitlines()]
    assert lines.index("run first") < lines.index("run second")
    update = next(each for each in lines if "1\u202f234\u202f567" in each)
    assert update.split()[:5] == ["1", "2026-11-25", "12:00:00", "train", "given"]
    assert "2, clipped from 3.5" in update
    assert "4 answers left" in shown.stdout
    assert "3 with what was asked for (1 of them updates), 1 refusals" in shown.stdout
    assert audit(folder / ".bloodnet" / "kept").digest in shown.stdout


def test_json_has_every_line_and_the_totals(folder: Path) -> None:
    filled(folder)
    told = json.loads(RUNNER.invoke(app, ["audit", str(folder), "--json"]).stdout)
    assert (told["intact"], told["totals"]["answers"], len(told["lines"])) == (True, 4, 4)
    assert told["lines"][1]["clipped"] == 3.5


def test_a_changed_log_is_exit_code_1_and_said(folder: Path) -> None:
    path = filled(folder)
    path.write_text(path.read_text().replace('"run": "second"', '"run": "other"'))
    shown = RUNNER.invoke(app, ["audit", str(folder)])
    assert shown.exit_code == 1
    assert shown.stderr.startswith(f"error: {path}, line 3: was changed")
    assert "as it was written" not in shown.stdout
    told = RUNNER.invoke(app, ["audit", str(folder), "--json"])
    assert told.exit_code == 1
    assert json.loads(told.stdout)["intact"] is False


def test_a_noted_digest_that_is_not_there_is_exit_code_1(folder: Path) -> None:
    filled(folder)
    assert RUNNER.invoke(app, ["audit", str(folder), "--noted", "0" * 64]).exit_code == 1


def test_a_runs_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "r\x1b[2Jun\n[red]"
    print_audit(Audit((line(1, run=evil, kind=evil),), "d", ""))
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown
    assert f"run {printable(evil)}" in shown
    assert "[red]" in printable(evil)
