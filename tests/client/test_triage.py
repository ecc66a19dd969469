import csv
import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.network import build_network
from bloodnet_model.operating_point import operating_point
from bloodnet_model.preprocessing import prepare_volume
from bloodnet_model.settings import ModelSettings
from bloodnet_model.weights import save_network
from client.blood_volume import blood_volume_ml
from client.scorer import Scorer, load_scorer
from client.series_selection import select_series
from client.site_settings import SeriesRules
from client.triage import Triaged, find_studies, ranked, triage, windows_of
from client.volume import read_volume
from client.worklist import choose_threshold, lines, worklist_table, write_worklist
from tests.client.dicom_factory import head_hu, uid, write_series, write_slice
from tests.test_commands import call


@pytest.fixture(scope="module")
def weights(small: ModelSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    save_network(path, build_network(small, 0), small)
    return path


@pytest.fixture(scope="module")
def scorer(weights: Path) -> Scorer:
    return load_scorer(weights, "cpu")


def worklist(scorer: Scorer, *paths: Path) -> list[Triaged]:
    return ranked(triage(find_studies(paths, lambda stage, done, total: None), scorer))


def test_every_study_has_a_line_whatever_lies_beside_it(tmp_path: Path, scorer: Scorer) -> None:
    for study in (1, 2, 3):
        write_series(tmp_path / str(study), study=study)
    (tmp_path / "1" / "notes.txt").write_text("seen", encoding="utf-8")
    write_series(tmp_path / "water", np.zeros((10, 32, 28), np.float32), study=4)
    write_series(tmp_path / "few", head_hu()[:3], study=5)
    broken = write_series(tmp_path / "broken", study=6)
    for path in broken:
        path.write_bytes(path.read_bytes()[:500])
    studies = worklist(scorer, tmp_path)
    unread = {study.folder.name: study.reason for study in studies[:3]}
    assert unread == {"broken": "bad-header", "few": "too-few-slices", "water": "not-a-head"}
    scores = [study.score for study in studies[3:]]
    assert len(scores) == 3
    assert scores == sorted((score for score in scores if score is not None), reverse=True)
    assert {study.study_uid for study in studies[3:]} == {uid(1), uid(2), uid(3)}


def test_a_slice_that_cannot_be_read_is_said_and_the_study_is_scored(tmp_path: Path, scorer: Scorer) -> None:
    paths = write_series(tmp_path / "one")
    paths[4].write_bytes(paths[4].read_bytes()[:-40])
    (study,) = worklist(scorer, tmp_path)
    assert study.score is not None
    assert (study.slices, study.unread) == (9, 1)


def test_a_study_whose_reading_fails_otherwise_stays_on_the_list(
    tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path / "one")

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("client.triage.read_volume", fail)
    (study,) = worklist(scorer, tmp_path)
    assert (study.score, study.reason, study.detail) == (None, "internal-error", "MemoryError")


def test_a_score_depends_on_no_other_study(tmp_path: Path, scorer: Scorer) -> None:
    for study in (1, 2):
        write_series(tmp_path / str(study), study=study)
    together = {study.study_uid: study.scores for study in worklist(scorer, tmp_path)}
    (alone,) = worklist(scorer, tmp_path / "2")
    assert together[uid(2)] == alone.scores


def test_a_zip_file_is_read(tmp_path: Path, scorer: Scorer) -> None:
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        for path in write_series(tmp_path / "one"):
            archive.write(path, path.name)
    assert worklist(scorer, tmp_path / "one.zip")[0].scores == worklist(scorer, tmp_path / "one")[0].scores


def test_volume_of_blood_by_hand(small: ModelSettings) -> None:
    mask = np.zeros((10, 16, 12), bool)
    mask[3, :2, :5] = True  # 10 pixels of 12 mm x 12 mm, 5 mm apart
    assert blood_volume_ml(mask, 5.0, small.preprocessing) == pytest.approx(10 * 144 * 5 / 1000)
    assert blood_volume_ml(mask, math.nan, small.preprocessing) is None


def test_files_agree_with_the_list(tmp_path: Path, scorer: Scorer) -> None:
    write_series(tmp_path / "in" / "one")
    write_series(tmp_path / "in" / "few", head_hu()[:3], study=5)
    studies = worklist(scorer, tmp_path / "in")
    threshold = choose_threshold(0.2, None)
    write_worklist(tmp_path / "out", studies, threshold)
    records = json.loads((tmp_path / "out" / "worklist.json").read_text())
    assert records == lines(studies, threshold)
    rows = list(csv.DictReader((tmp_path / "out" / "worklist.csv").read_text().splitlines()))
    assert [row["reason"] for row in rows] == ["too-few-slices", ""]
    assert [row["detail"] for row in rows] == ["3 of at least 8", ""]
    assert rows[1]["score"] == str(records[1]["score"])
    with Image.open(tmp_path / "out" / records[1]["overlay"]) as picture:
        assert picture.size == (11 * 4 * 24, 11 * 32 + 24)
    assert records[0]["overlay"] is None


@pytest.mark.parametrize("name", ["nowhere", "nowhere.zip", "one.dcm"])
def test_what_is_no_folder_has_its_remedy(tmp_path: Path, name: str) -> None:
    write_slice(tmp_path / "one.dcm", head_hu()[0])
    with pytest.raises(DataError, match="a folder of studies"):
        find_studies([tmp_path / name], lambda stage, done, total: None)


def test_windows_by_parts_are_those_of_the_whole(tmp_path: Path, small: ModelSettings) -> None:
    write_series(tmp_path / "one")
    (headers,) = find_studies([tmp_path], lambda stage, done, total: None).studies.values()
    volume = read_volume(select_series(headers, SeriesRules()).slices)
    whole = prepare_volume(volume.hu, volume.spacing_mm, small.preprocessing)
    assert np.array_equal(windows_of(volume, small.preprocessing), whole)
    assert len(np.unique(whole)) > 2


def test_a_threshold_says_where_it_comes_from() -> None:
    labels, scores = [0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9]
    point = operating_point(ScoreHistogram.from_scores(scores, labels), 0.95)
    chosen = choose_threshold(None, point)
    assert (chosen.score, chosen.source) == (point.threshold, "operating-point")
    assert chosen.why == "sensitivity 0.95 on the run's validation patients (2 of 2 flagged)"
    assert choose_threshold(0.0, point).score == 0.0
    assert choose_threshold(0.0, point).source == "given"
    unset = choose_threshold(None, None)
    assert (unset.score, unset.source) == (0.5, "unset")
    assert "choose one with --threshold" in unset.why


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    scores = dict.fromkeys(CLASSES, 0.25) | {"any": 0.9, "intraparenchymal": 0.75}
    long = Path("/in/1.2.826.0.1.3680043.8.498.77.11509882873884801635722704622971812")
    studies = [Triaged("", Path("/in/broken"), 0.0, "bad-archive", "torn")]
    studies += [Triaged(f"1.{i}", Path("/in/flat"), 1.5, "", "", scores, 123.4, 320, 12) for i in range(2)]
    studies += [Triaged("1.9", long, 0.5, "", "", {**scores, "any": 0.1}, None, 36)]
    shown = io.StringIO()
    Console(width=80, file=shown).print(worklist_table(studies, choose_threshold(0.5, None)))
    rows = shown.getvalue().splitlines()[1:]
    assert [" ".join(row.split()) for row in rows] == [
        "1 broken not read bad archive",
        "2 1.0 0.900 intraparenchymal 0.75 123.4 320/332 1.50",
        "3 1.1 0.900 intraparenchymal 0.75 123.4 320/332 1.50",
        "4 1.2.826.0.…04622971812 0.100 - 36 0.50",
    ]


def test_as_a_hospital_types_it(tmp_path: Path, weights: Path) -> None:
    write_series(tmp_path / "in" / "one")
    (tmp_path / "in" / "notes.txt").write_text("seen", encoding="utf-8")
    words = ("bloodnet-client", "triage", "in", "--model", weights, "--threshold", "0", "--device", "cpu")
    shown = call(*words, "--out", "out", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "1 of 1 flagged at a score of 0 or more; 0 not read" in shown.stdout
    assert "as given by --threshold" in shown.stdout
    assert "trained on unknown data; PyTorch on the CPU" in shown.stdout
    assert "1 file left aside: no CT image" in shown.stdout
    assert (tmp_path / "out" / "worklist.csv").exists()
    again = call(*words, "--out", "out", cwd=tmp_path)
    assert again.returncode == 2
    assert "not an empty folder" in again.stderr
    assert json.loads(call(*words, "--json", cwd=tmp_path).stdout)[0]["rank"] == 1
