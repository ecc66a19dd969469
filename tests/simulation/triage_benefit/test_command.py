"""`bloodnet-simulate triage-benefit`, as it is typed."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from simulation.cli import app
from simulation.triage_benefit.classifier import SENSITIVITY_TARGET
from simulation.triage_benefit.settings import BenefitSettings

FLAG = ["triage-benefit", "--sensitivity", "0.9", "--specificity", "0.8", "--days", "2", "--replications", "2"]


@pytest.mark.parametrize("name", sorted({*BenefitSettings.model_fields, "sensitivity_target"} - {"warm_up_days"}))
def test_help_names_the_defaults(name: str) -> None:
    context = typer.Context(typer.main.get_command(app))
    command = typer.main.get_command(app).get_command(context, "triage-benefit")  # type: ignore[attr-defined]
    told = {parameter.name: parameter.help for parameter in command.params}
    default = SENSITIVITY_TARGET if name == "sensitivity_target" else BenefitSettings.model_fields[name].default
    assert told[name].endswith(f"{default:g} unless given.")


def test_it_prints_the_answer_and_where_its_files_are(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, [*FLAG, "--out", str(tmp_path / "new")], env={"COLUMNS": "80"})
    assert shown.exit_code == 0, shown.output
    assert "flagged first" in shown.stdout
    assert "Under these assumptions, an ICH-positive study waits" in shown.stdout
    for kind in ("html", "png", "svg"):
        assert str(tmp_path / "new" / f"triage-benefit.{kind}") in shown.stdout
        assert (tmp_path / "new" / f"triage-benefit.{kind}").stat().st_size > 1000


def test_every_setting_reaches_the_simulation(tmp_path: Path) -> None:
    given = {"arrivals_per_hour": 5.0, "reading_minutes": 10.0, "reading_sd_minutes": 4.0, "radiologists": 2}
    given |= {"prevalence": 0.3, "scoring_seconds": 30.0, "warm_up_days": 1.0, "seed": 7}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    shown = CliRunner().invoke(app, [*FLAG, *words, "--out", str(tmp_path), "--json"])
    numbers = json.loads(shown.stdout)
    assert numbers["settings"] == {**given, "days": 2.0, "replications": 2}
    assert (numbers["classifier"]["sensitivity"], numbers["classifier"]["specificity"]) == (0.9, 0.8)
    again = CliRunner().invoke(app, [*FLAG, *words, "--out", str(tmp_path), "--json"])
    assert again.stdout == shown.stdout
