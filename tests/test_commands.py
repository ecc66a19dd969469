"""The three commands as their users type them, with a mistake or two."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points, version
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

import client.cli
import server.cli
import simulation.cli
from strategies.admission import verified

BIN = Path(sys.executable).parent
COMMANDS = {
    ("bloodnet-simulate",): ("run", "phantom", "reproduce"),
    ("bloodnet-simulate", "run"): ("--dataset", "--strategy", "--config", "--json"),
    ("bloodnet-simulate", "phantom"): ("--hospitals", "--studies"),
    ("bloodnet-simulate", "compare"): ("--strategies", "--seeds", "--out", "--json"),
    ("bloodnet-simulate", "ablate"): ("--links", "--seeds", "--most-steps", "--json"),
    ("bloodnet-simulate", "triage-benefit"): ("--run", "--sensitivity", "--arrivals-per-hour", "--json"),
    ("bloodnet-simulate", "reproduce"): ("cq500-table",),
    ("bloodnet-simulate", "reproduce", "cq500-table"): ("--data", "--sites"),
    ("bloodnet-client",): (
        *("init", "check", "index", "triage", "export", "run", "health"),
        *("review", "approve", "allow", "audit"),
    ),
    ("bloodnet-client", "run"): ("FOLDER", "--port", "--health"),
    ("bloodnet-client", "health"): ("--at", "--connected"),
    ("bloodnet-client", "review"): ("BUNDLE", "--site"),
    ("bloodnet-client", "approve"): ("BUNDLE", "--site", "--revoke"),
    ("bloodnet-client", "allow"): ("RUN", "--site", "--revoke"),
    ("bloodnet-client", "audit"): ("FOLDER", "--noted", "--json"),
    ("bloodnet-client", "triage"): ("--model", "--threshold", "--out", "--json"),
    ("bloodnet-client", "export"): ("--model", "--format", "--sensitivity", "--out"),
    ("bloodnet-client", "init"): ("--name", "--dicom", "--labels"),
    ("bloodnet-client", "check"): ("--sample", "--network", "--out", "--json"),
    ("bloodnet-client", "index"): ("--json",),
    ("bloodnet-server",): (
        *("init", "renew", "admit", "revoke", "sites", "up", "launch", "status", "stop"),
        *("resume", "readmit", "report"),
    ),
    ("bloodnet-server", "init"): ("DIR", "--host"),
    ("bloodnet-server", "renew"): ("DIR", "--authority", "add"),
    ("bloodnet-server", "admit"): ("DIR", "FILE"),
    ("bloodnet-server", "launch"): ("DIR", "--config", "--site", "--out"),
    ("bloodnet-server", "status"): ("DIR", "--once", "--json"),
    ("bloodnet-server", "resume"): ("RUN", "--federation", "--from-round"),
    ("bloodnet-server", "readmit"): ("RUN", "SITE"),
    ("bloodnet-server", "report"): ("RUN", "--format", "--out", "--figures"),
}


def call(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / str(words[0])), *map(str, words[1:])]
    wide = {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=wide, timeout=120)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_reads_well(words: tuple[str, ...]) -> None:
    shown = call(*words, "--help")
    assert shown.returncode == 0
    assert all(expected in shown.stdout for expected in COMMANDS[words])


@pytest.mark.parametrize("app", [simulation.cli.app, client.cli.app, server.cli.app])
def test_every_argument_and_option_is_explained(app: typer.Typer) -> None:
    assert list(unexplained(typer.main.get_command(app))) == []


@pytest.mark.parametrize("app", [simulation.cli.app, client.cli.app, server.cli.app])
def test_the_version_is_that_of_the_package(app: typer.Typer) -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"{version('bloodnet-federation')}\n")


def unexplained(command: click.Command) -> Iterator[str]:
    """Typer, with a click that is too new for it, forgets the help of arguments."""
    yield from (f"{command.name} {one.name}" for one in command.params if not getattr(one, "help", None))
    for part in getattr(command, "commands", {}).values():
        yield from unexplained(part)


def test_every_command_is_installed() -> None:
    ours = {entry.name: entry.load() for entry in entry_points(group="console_scripts") if "bloodnet" in entry.name}
    assert set(ours) == {words[0] for words in COMMANDS}
    assert all(callable(function) for function in ours.values())


def test_a_command_ends_without_a_search_through_what_it_imported() -> None:
    script = (
        "import gc; from bloodnet_model.commands import run_command;"
        "run_command(lambda: None); print(gc.get_threshold()[0], gc.get_freeze_count() > 0)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "10000 True"


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, simulation.cli, client.cli, server.cli;"
        "print([name for name in ('torch', 'flwr', 'pydicom', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "--dataset", "folder"), "as in --dataset folder --data DIR"),
        (("run", "--dataset", "nifti=."), "data.sources: choose among synthetic, rsna2019"),
        (("run", "--data", "."), "goes with one --dataset NAME"),
        (("run", "--dataset", "cq500", "--data", "."), "holds no reads.csv, so it is not CQ500 as unpacked"),
        (("run", "--dataset", "rsna2019", "--data", "nowhere"), "there is no such folder"),
        (("run", "--strategy", "fedavgg"), "choose one of fedavg, fedprox"),
        (("run", "--preset", "huge"), "choose one of tiny, small, base"),
        (("run", "--rounds", "0"), "rounds"),
        (("run", "--partition", "iidd"), "choose one of natural, iid, dirichlet"),
        (("run", "--partition", "dirichlet", "--alpha", "0"), "data.alpha"),
        (("run", "--partition", "iid", "--alpha", "0.3"), "--alpha: goes with --partition dirichlet or quantity"),
        (("run", "--min-studies", "3"), "--min-studies: goes with --partition iid or dirichlet"),
        (("run", "--held-out", "rsna2019=."), "data.held_out: choose among synthetic, cq500"),
        (("run", "--dataset", "cq500=.", "--held-out", "cq500=."), "cq500 is trained on"),
        (("run", "--held-out", "cq500"), "as in --held-out cq500=DIR"),
        (("run", "--dataset", "folder", "--data", "nowhere"), "neither a site folder nor a folder of such"),
        (("run", "--out", "/dev/null/run"), "/dev/null/run: cannot be made in /dev/null"),
        (("run", "--config", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("ablate", "--links", "dependent,atention"), "ablation.links.1: Input should be 'dependent'"),
        (("ablate", "--links", "single"), "name dependent and at least one other link"),
        (("ablate", "--most-steps", "5", "--dataset", "folder"), "as in --dataset folder --data DIR"),
        (("compare", "--strategies", "fedavg,fedprix"), "choose one of fedavg, fedprox"),
        (("compare", "--strategies", "fedavg,fedavg"), "name each strategy once"),
        (("triage-benefit",), "or both --sensitivity and --specificity"),
        (("triage-benefit", "--run", "nowhere"), "nowhere: holds no metrics.json"),
        (("triage-benefit", "--sensitivity", "90", "--specificity", "1"), "sensitivity: 90 is no share"),
        (("triage-benefit", "--arrivals-per-hour", "9"), "the worklist grows without end; give at least 3"),
        (("reproduce", "cq500-table", "--data", "nowhere"), "reads.csv"),
    ],
)
def test_a_mistake_gets_one_sentence_and_leaves_nothing(words: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    shown = call("bloodnet-simulate", *words, cwd=tmp_path)
    assert shown.returncode == 2
    assert sentence in shown.stderr
    assert shown.stderr.startswith("error: ")
    assert len(shown.stderr.strip().splitlines()) == 1
    assert shown.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_setting_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("rouns: 3\n")
    shown = call("bloodnet-simulate", "run", "--config", "run.yaml", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (2, "error: rouns: unknown setting; did you mean rounds?\n")


def test_a_file_that_is_no_yaml_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("rounds: 3\nseed: [1\n")
    shown = call("bloodnet-simulate", "run", "--config", "run.yaml", cwd=tmp_path)
    assert shown.returncode == 2
    assert "run.yaml: is not YAML (line 3)" in shown.stderr


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    shown = call("bloodnet-simulate", "run", "--round", "3", cwd=tmp_path)
    assert shown.returncode == 2
    assert "--rounds" in shown.stderr


def test_an_existing_run_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.yaml").write_text("mine")
    shown = call("bloodnet-simulate", "run", "--out", "old", cwd=tmp_path)
    assert shown.returncode == 2
    assert "old: holds a run already" in shown.stderr
    assert (tmp_path / "old" / "config.yaml").read_text() == "mine"


def test_a_report_of_nothing_names_the_folder(tmp_path: Path) -> None:
    shown = call("bloodnet-server", "report", tmp_path)
    assert shown.returncode == 2
    assert str(tmp_path) in shown.stderr


@pytest.mark.slow
def test_index_says_counts_that_are_fit_to_send(tmp_path: Path) -> None:
    folder = tmp_path / "phantoms"
    shown = call(
        "bloodnet-simulate", "phantom", folder, "--hospitals", "1", "--studies", "6", "--slices", "8", "--matrix", "64"
    )
    assert shown.returncode == 0, shown.stderr
    site = folder / "hospital-1"
    shown = call("bloodnet-client", "index", site, "--json")
    counts = json.loads(shown.stdout)
    assert counts["counts"]["train-studies"] > 0
    assert "dcm" not in shown.stdout
    shown = call("bloodnet-client", "index", site)
    assert "All 6 studies are used" in shown.stdout


def test_index_of_nothing(tmp_path: Path) -> None:
    shown = call("bloodnet-client", "index", tmp_path)
    assert shown.returncode == 2
    assert "site.yaml" in shown.stderr


def test_init_writes_a_site_that_check_reads(tmp_path: Path) -> None:
    shown = call("bloodnet-client", "init", "St. Elsewhere", "--dicom", "pacs", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    folder = tmp_path / "St. Elsewhere"
    assert {path.name for path in folder.iterdir()} == {
        "site.yaml",
        "labels.csv",
        "node.key",
        "St-Elsewhere.admission.json",
    }
    admission = folder / "St-Elsewhere.admission.json"
    assert verified(admission.read_bytes(), admission.name).site == "St-Elsewhere"
    assert (folder / "node.key").stat().st_mode & 0o077 == 0
    assert "ecdsa-sha2-nistp384 " in shown.stdout
    assert "PRIVATE" not in shown.stdout
    assert "name: St-Elsewhere" in (folder / "site.yaml").read_text()
    shown = call("bloodnet-client", "check", folder)
    assert (shown.returncode, len(shown.stderr.strip().splitlines())) == (2, 1)
    assert "correct `dicom`" in shown.stderr
    shown = call("bloodnet-client", "init", folder)
    assert shown.returncode == 2
    assert "is there already and stays as it is" in shown.stderr


def test_init_refuses_a_name_that_cannot_travel(tmp_path: Path) -> None:
    shown = call("bloodnet-client", "init", "here", "--name", "St. Elsewhere", cwd=tmp_path)
    assert shown.returncode == 2
    assert "name" in shown.stderr
    assert not (tmp_path / "here").exists()


def test_a_site_that_cannot_connect_is_told_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("name: a\ndicom: ['.']\n")
    (tmp_path / "scan.dcm").write_bytes(b"")
    shown = call("bloodnet-client", "run", tmp_path)
    assert (shown.returncode, len(shown.stderr.strip().splitlines())) == (2, 1)
    assert "names no coordinator; write `coordinator: HOST:PORT` below `policy:`" in shown.stderr
    shown = call("bloodnet-client", "audit", tmp_path)
    assert shown.returncode == 2
    assert "nothing has left this site" in shown.stderr


@pytest.mark.slow
def test_check_says_ready_or_not_by_its_exit_code(tmp_path: Path) -> None:
    words = ("--hospitals", "1", "--studies", "6", "--slices", "8", "--matrix", "64")
    assert call("bloodnet-simulate", "phantom", tmp_path / "phantoms", *words).returncode == 0
    site = tmp_path / "phantoms" / "hospital-1"
    shown = call("bloodnet-client", "check", site, "--sample", "2", "--out", tmp_path / "page.html")
    assert shown.returncode == 0, shown.stderr
    assert "of 2 of 6 studies read" in shown.stdout
    assert "site.yaml names no coordinator yet" in shown.stdout
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    shown = call("bloodnet-client", "check", site, "--json")
    counts = json.loads(shown.stdout)
    assert counts["coverage"] == {"labelled": 6, "usable": 6}
    assert str(site) not in shown.stdout
    for out, sentence in (("page.csv", "let it end with .html"), ("/dev/null/page.html", "cannot be made")):
        shown = call("bloodnet-client", "check", site, "--out", out, cwd=tmp_path)
        assert (shown.returncode, len(shown.stderr.strip().splitlines())) == (2, 1)
        assert sentence in shown.stderr
    with (site / "site.yaml").open("a") as settings:
        settings.write("policy: {coordinator: 'coordinator.invalid:443'}\n")
    shown = call("bloodnet-client", "check", site, "--sample", "2")
    assert shown.returncode == 1
    assert shown.stdout.startswith("hospital-1 is not ready")
    assert "of 2 of 6 studies read" in shown.stdout
    assert "coordinator.invalid:443 is not open" in shown.stdout
    assert "Firewall request: BloodNet federation, hospital-1" in shown.stdout
    way = call("bloodnet-client", "check", site, "--network", "--json")
    assert (way.returncode, json.loads(way.stdout)["verdict"]) == (1, "not ready")
    (site / "site.yaml").write_text((site / "site.yaml").read_text().rpartition("policy")[0])
    shown = call("bloodnet-client", "check", site, "--network")
    assert (shown.returncode, len(shown.stderr.strip().splitlines())) == (2, 1)
    (site / ".bloodnet" / "index.sqlite").write_bytes(b"SQLite format 3\0" + b"damaged" * 1000)
    assert call("bloodnet-client", "check", site).returncode == 0
    (site / "labels.csv").write_text((site / "labels.csv").read_text().splitlines()[0] + "\n")
    assert call("bloodnet-client", "check", site).returncode == 1
