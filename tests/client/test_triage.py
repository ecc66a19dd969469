import csv
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image

from bloodnet_model.errors import DataError
from bloodnet_model.network import build_network
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.weights import save_network
from client.scorer import load_scorer
from client.triage import Triaged, blood_volume_ml, find_studies, ranked, triage
from client.worklist import choose_threshold, lines, write_worklist
from tests.client.dicom_factory import head_hu, make_header, uid, write_series, write_slice
from tests.test_commands import call


@pytest.fixture
def model() -> ModelSettings:
    return model_settings("tiny", preprocessing={"rows": 32, "columns": 24, "spacing_mm": 6.0})


def worklist(model: ModelSettings, *paths: Path) -> list[Triaged]:
    found = find_studies(paths, lambda stage, done, total: None)
    with TemporaryDirectory() as folder:
        save_network(Path(folder) / "model.safetensors", build_network(model, 0), model)
        return ranked(triage(found, load_scorer(Path(folder) / "model.safetensors", "cpu")))


def test_every_study_has_a_line_whatever_lies_beside_it(tmp_path: Path, model: ModelSettings) -> None:
    for study in (1, 2, 3):
        write_series(tmp_path / str(study), study=study)
    (tmp_path / "1" / "notes.txt").write_text("seen", encoding="utf-8")
    write_series(tmp_path / "water", np.zeros((10, 32, 28), np.float32), study=4)
    write_series(tmp_path / "few", head_hu()[:3], study=5)
    broken = write_series(tmp_path / "broken", study=6)
    for path in broken:
        path.write_bytes(path.read_bytes()[:500])
    studies = worklist(model, tmp_path)
    unread = {study.folder.name: study.reason for study in studies[:3]}
    assert unread == {"broken": "bad-header", "few": "too-few-slices", "water": "not-a-head"}
    scores = [study.score for study in studies[3:]]
    assert len(scores) == 3
    assert scores == sorted((score for score in scores if score is not None), reverse=True)
    assert {study.study_uid for study in studies[3:]} == {uid(1), uid(2), uid(3)}


def test_a_slice_that_cannot_be_read_is_said_and_the_study_is_scored(tmp_path: Path, model: ModelSettings) -> None:
    paths = write_series(tmp_path / "one")
    paths[4].write_bytes(paths[4].read_bytes()[:-40])
    (study,) = worklist(model, tmp_path)
    assert study.score is not None
    assert (study.slices, study.unread) == (9, 1)


def test_a_study_whose_reading_fails_otherwise_stays_on_the_list(
    tmp_path: Path, model: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path / "one")

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("client.triage.read_volume", fail)
    (study,) = worklist(model, tmp_path)
    assert (study.score, study.reason, study.detail) == (None, "internal-error", "MemoryError")


def test_a_score_depends_on_no_other_study(tmp_path: Path, model: ModelSettings) -> None:
    for study in (1, 2):
        write_series(tmp_path / str(study), study=study)
    together = {study.study_uid: study.scores for study in worklist(model, tmp_path)}
    (alone,) = worklist(model, tmp_path / "2")
    assert together[uid(2)] == alone.scores


def test_a_zip_file_is_read(tmp_path: Path, model: ModelSettings) -> None:
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        for path in write_series(tmp_path / "one"):
            archive.write(path, path.name)
    assert worklist(model, tmp_path / "one.zip")[0].scores == worklist(model, tmp_path / "one")[0].scores


def test_volume_of_blood_by_hand(model: ModelSettings) -> None:
    mask = np.zeros((10, 16, 12), bool)
    mask[3, :2, :5] = True  # 10 pixels of 12 mm x 12 mm, 5 mm apart
    headers = [make_header(i) for i in range(10)]
    distance = headers[1].position_mm[2] - headers[0].position_mm[2]  # type: ignore[index]
    assert blood_volume_ml(mask, headers, model.preprocessing) == pytest.approx(10 * 144 * distance / 1000)
    assert blood_volume_ml(mask[:1], headers[:1], model.preprocessing) is None


def test_files_agree_with_the_list(tmp_path: Path, model: ModelSettings) -> None:
    write_series(tmp_path / "in" / "one")
    write_series(tmp_path / "in" / "few", head_hu()[:3], study=5)
    studies = worklist(model, tmp_path / "in")
    threshold = choose_threshold(0.2, None)
    write_worklist(tmp_path / "out", studies, threshold)
    records = json.loads((tmp_path / "out" / "worklist.json").read_text())
    assert records == lines(studies, threshold)
    rows = list(csv.DictReader((tmp_path / "out" / "worklist.csv").read_text().splitlines()))
    assert [row["reason"] for row in rows] == ["too-few-slices", ""]
    assert rows[1]["score"] == str(records[1]["score"])
    with Image.open(tmp_path / "out" / records[1]["overlay"]) as picture:
        assert picture.size == (2 * 4 * 24, 2 * 32)
    assert records[0]["overlay"] is None


@pytest.mark.parametrize("name", ["nowhere", "nowhere.zip", "one.dcm"])
def test_what_is_no_folder_has_its_remedy(tmp_path: Path, name: str) -> None:
    write_slice(tmp_path / "one.dcm", head_hu()[0])
    with pytest.raises(DataError, match="a folder of studies"):
        find_studies([tmp_path / name], lambda stage, done, total: None)


def test_as_a_hospital_types_it(tmp_path: Path, model: ModelSettings) -> None:
    write_series(tmp_path / "in" / "one")
    (tmp_path / "in" / "notes.txt").write_text("seen", encoding="utf-8")
    save_network(tmp_path / "model.safetensors", build_network(model, 0), model)
    words = ("bloodnet-client", "triage", "in", "--model", "model.safetensors", "--threshold", "0")
    shown = call(*words, "--out", "out", cwd=tmp_path)
    assert shown.returncode == 0
    assert "1 of 1 flagged at a score of 0 or more; 0 not read" in shown.stdout
    assert "1 file left aside: no CT image" in shown.stdout
    assert (tmp_path / "out" / "worklist.csv").exists()
    again = call(*words, "--out", "out", cwd=tmp_path)
    assert again.returncode == 2
    assert "not an empty folder" in again.stderr
    assert json.loads(call(*words, "--json", cwd=tmp_path).stdout)[0]["rank"] == 1
