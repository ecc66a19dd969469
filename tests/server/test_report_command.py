"""`bloodnet-server report`: one run or several, as a page, as text, and as figures."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from bloodnet_model.errors import DataError, SettingsError
from bloodnet_model.page import DARK, LIGHT
from server.report.command import text_of, write_figures, write_page, write_text
from server.report.runs import load_runs
from server.report.runs_page import NO_TEST
from tests.server.rich_run import rich_metrics
from tests.server.test_report import text_of as words_of
from tests.test_commands import call


def run(folder: Path, **changes: Any) -> Path:
    metrics = rich_metrics(sites=3, rounds=2, planned=2, seed=changes.pop("seed_of_data", 7))
    metrics["run"] |= changes
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "config.yaml").write_text("strategy: fedavg\n")
    return folder


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [run(tmp_path / "one", name="avg"), run(tmp_path / "two", name="prox", strategy="fedprox")]


def test_one_run_rewrites_its_own_page_or_the_named_file(two: list[Path], tmp_path: Path) -> None:
    assert write_page(two[:1], None) == two[0] / "report.html"
    elsewhere = write_page(two[:1], tmp_path / "mail.html")
    assert elsewhere.read_bytes() == (two[0] / "report.html").read_bytes()


def test_several_runs_stand_side_by_side(two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = write_page(two, None)
    assert page == Path("report-comparison.html")
    html = page.read_text(encoding="utf-8")
    text = words_of(html)
    assert NO_TEST in text
    assert "Paired comparisons that these runs hold" in text
    assert "not scored on the same patients" not in text
    assert html.count("<svg") == 3
    for folder in two:
        record = json.loads((folder / "metrics.json").read_text())["test"]["pooled"]["any"]
        assert f"{record['auc']:.3f} ({record['auc_low']:.3f}–{record['auc_high']:.3f})" in text
    assert not (two[0] / "report.html").exists()


def test_runs_on_other_patients_are_not_ranked(two: list[Path], tmp_path: Path) -> None:
    other = run(tmp_path / "three", name="other", seed_of_data=8)
    text = words_of(write_page([*two, other], tmp_path / "all.html").read_text(encoding="utf-8"))
    assert "3 runs side by side, not scored on the same patients" in text
    assert "their AUCs are of other patients each" in text
    assert "highest AUC" not in text


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    folders = [run(tmp_path / "one", name="same"), run(tmp_path / "two", name="same")]
    assert list(load_runs(folders)) == ["one", "two"]
    folders.append(run(tmp_path / "deep" / "one", name="same"))
    assert list(load_runs(folders)) == [str(folder) for folder in folders]


def test_csv_holds_one_figure_a_row(two: list[Path]) -> None:
    rows = list(csv.DictReader(io.StringIO(text_of(two, "csv"))))
    metrics = json.loads((two[1] / "metrics.json").read_text())
    found = [
        row
        for row in rows
        if (row["run"], row["split"], row["patients"], row["kind"], row["figure"])
        == ("prox", "test", "all", "any", "auc")
    ]
    assert [float(row["value"]) for row in found] == [metrics["test"]["pooled"]["any"]["auc"]]
    undefined = [row for row in rows if row["kind"] == "epidural" and row["figure"] == "auc"]
    assert all(row["value"] == "" and "no positive study" in row["note"] for row in undefined)
    paired = [row for row in rows if row["figure"] == "auc of federated minus central"]
    assert [float(row["low"]) for row in paired] == [metrics["comparisons"][0]["low"]] * 2


def test_csv_says_who_took_part_and_which_model_it_is(two: list[Path]) -> None:
    rows = [row for row in csv.DictReader(io.StringIO(text_of(two[:1], "csv"))) if row["kind"] == ""]
    counted = {row["patients"]: row for row in rows if row["figure"] == "updates that counted"}
    assert {site: (row["value"], row["of"]) for site, row in counted.items()} == {
        "north-general": ("2", "2"),
        "st-mary": ("1", "2"),
        "riverside": ("2", "2"),
    }
    assert "not finite" in counted["st-mary"]["note"]
    choice = json.loads((two[0] / "metrics.json").read_text())["selection"]
    told = {row["figure"]: (row["value"], row["note"]) for row in rows if row["patients"] == "all"}
    assert told["auc, last round"] == (str(choice["last"]["value"]), "chosen")
    assert told["auc, best round"] == (str(choice["best"]["value"]), "")
    assert "riverside" in told["proposed deadline in seconds"][1]


def test_no_cell_of_csv_is_a_formula(tmp_path: Path) -> None:
    folder = run(tmp_path / "one", name="=HYPERLINK(1)")
    assert {row["run"] for row in csv.DictReader(io.StringIO(text_of([folder], "csv")))} == {"'=HYPERLINK(1)"}


def test_json_has_the_same_figures(two: list[Path]) -> None:
    told = json.loads(text_of(two, "json"))
    assert [entry["strategy"] for entry in told["runs"]] == ["fedavg", "fedprox"]
    assert told["runs"][0]["selection"]["last"]["round"] == 2
    assert told["runs"][0]["forecast"]["slowest"] == "riverside"
    assert len(told["figures"]) == len(text_of(two, "csv").splitlines()) - 1


def test_markdown_of_one_run_answers_and_of_several_lists(two: list[Path]) -> None:
    one, both = text_of(two[:1], "md"), text_of(two, "md")
    assert one.startswith("## Pooled test AUC 0.")
    assert "- **Against central:** AUC " in one
    assert "| all patients | 0." in one
    assert "| st-mary | 1 of 2 | 1 × not finite | 34 s |" in " ".join(one.replace("\u00a0", " ").split("\n"))
    assert "| prox | fedprox | 2 of 2 | 0." in both
    assert NO_TEST in both
    assert all(line.count("|") == 9 for line in both.splitlines() if line.startswith("|"))


def test_figures_are_files_of_their_own(two: list[Path], tmp_path: Path) -> None:
    into = tmp_path / "figures"
    written = write_figures(two[:1], into)
    drawn = sorted(into.glob("*.svg"))
    assert len(drawn) == written == len(list(into.glob("*.png"))) == 14
    for path in drawn:
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.attrib["role"] == "img"
        assert len(root.attrib["aria-label"]) > 40
        assert "var(" not in text
        with Image.open(path.with_suffix(".png")) as image:
            pixels = np.asarray(image.convert("RGB"))
        assert pixels[0, 0].tolist() == [255, 255, 255]
        assert (pixels != 255).any(axis=-1).mean() > 0.01
    roc = (into / "roc.png").read_bytes()
    write_figures(two[:1], into)
    assert (into / "roc.png").read_bytes() == roc


def test_figures_of_several_runs_lie_in_a_folder_each(two: list[Path], tmp_path: Path) -> None:
    write_figures(two, tmp_path / "figures")
    found = {path.relative_to(tmp_path / "figures").as_posix() for path in (tmp_path / "figures").rglob("*.svg")}
    assert {"runs.svg", "runs-learning.svg", "runs-differences.svg", "1-avg/roc.svg", "2-prox/roc.svg"} <= found


def test_wrong_use_says_what_to_do(two: list[Path], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="given twice"):
        write_page([two[0], two[0]], None)
    with pytest.raises(SettingsError, match="is a folder; give the name of a file"):
        write_text("", tmp_path)
    with pytest.raises(DataError, match=r"holds no metrics\.json"):
        text_of([tmp_path / "nowhere"], "csv")


def test_command_line(two: list[Path], tmp_path: Path) -> None:
    shown = call("bloodnet-server", "report", *two, "--format", "md")
    assert shown.returncode == 0
    assert shown.stdout.startswith("| run | strategy |")
    kept = call("bloodnet-server", "report", two[0], "--format", "csv", "--out", "figures.csv", cwd=tmp_path)
    assert (kept.returncode, kept.stdout) == (0, "figures.csv\n")
    assert (tmp_path / "figures.csv").read_text().startswith("run,split,")
    lost = call("bloodnet-server", "report", tmp_path / "nowhere")
    assert (lost.returncode, lost.stdout) == (2, "")
    assert "give the folder of a run" in lost.stderr
    assert call("bloodnet-server", "report", two[0], "--format", "pdf").returncode == 2
    assert call("bloodnet-server", "report").returncode == 2


MACHADO = {  # Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 2009, severity 1, on linear RGB
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour: str) -> np.ndarray:
    share = np.array([int(part, 16) for part in re.findall("[0-9a-f]{2}", colour)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear sRGB, D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("sight", MACHADO)
def test_the_two_colours_of_figures_stay_apart_for_the_colour_blind(sight: str, palette: dict[str, str]) -> None:
    seen = {name: lab(np.array(MACHADO[sight]) @ linear(palette[name])) for name in ("site", "pooled", "card")}
    assert np.linalg.norm(seen["site"] - seen["pooled"]) > 25
    assert np.linalg.norm(seen["site"] - seen["card"]) > 40
    assert np.linalg.norm(seen["pooled"] - seen["card"]) > 40


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_words_on_a_bar_can_be_read(palette: dict[str, str]) -> None:
    bar, words = sorted(float(linear(palette[name]) @ [0.2126, 0.7152, 0.0722]) for name in ("pooled", "card"))
    assert (words + 0.05) / (bar + 0.05) > 4.5
