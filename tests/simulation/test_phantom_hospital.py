"""Federations of synthetic hospitals: whole or not at all, the same bytes whatever the number of workers."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import yaml

from bloodnet_model.errors import DataError, SettingsError
from bloodnet_model.labels import CLASSES
from client.dicom import read_headers
from simulation.phantom import LABEL_COLUMNS, PhantomSettings, write_federation

SMALL = PhantomSettings(hospitals=2, studies=13, slices=8, matrix=48, seed=3, prevalence=0.4)
TINY = PhantomSettings(hospitals=5, studies=1, slices=8, matrix=48, seed=3, prevalence=1.0)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(hospital: Path) -> list[dict[str, str]]:
    with (hospital / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn by two workers into an empty folder that is there already."""
    out = tmp_path_factory.mktemp("federation")
    done: list[None] = []
    hospitals = write_federation(out, SMALL, workers=2, on_study=lambda: done.append(None))
    assert hospitals == [out / "hospital-1", out / "hospital-2"]
    assert len(done) == SMALL.hospitals * SMALL.studies
    return out


def test_one_worker_draws_the_same_bytes(federation: Path, tmp_path: Path) -> None:
    write_federation(tmp_path / "again", SMALL, workers=1, on_study=lambda: None)
    once, again = contents(federation), contents(tmp_path / "again")
    assert once.keys() == again.keys()
    assert [name for name in once if once[name] != again[name]] == []


def test_another_seed_draws_other_heads_under_other_names(federation: Path, tmp_path: Path) -> None:
    settings = PhantomSettings(hospitals=1, studies=1, slices=8, matrix=48, seed=4)
    (hospital,) = write_federation(tmp_path / "other", settings, workers=1, on_study=lambda: None)
    assert rows(hospital)[0]["study_instance_uid"] != rows(federation / "hospital-1")[0]["study_instance_uid"]


def test_labels_agree_with_masks_and_files(federation: Path) -> None:
    for hospital in sorted(federation.iterdir()):
        table = rows(hospital)
        assert tuple(table[0]) == LABEL_COLUMNS
        assert len(table) == SMALL.studies
        folders = sorted((hospital / "dicom").iterdir())
        for row, folder in zip(table, folders, strict=True):
            assert {pydicom.dcmread(path).StudyInstanceUID for path in folder.iterdir()} == {row["study_instance_uid"]}
            if row["any"] == "0":
                assert row["mask"] == ""
                assert all(row[name] == "0" for name in CLASSES)
                continue
            present = set(np.unique(np.asarray(nib.load(hospital / row["mask"]).dataobj)).tolist())  # type: ignore[attr-defined]
            assert present - {0} == {code for code, name in enumerate(CLASSES) if code and row[name] == "1"}
        assert len(list((hospital / "masks").iterdir())) == sum(row["any"] == "1" for row in table)


def test_every_hospital_has_its_share_of_positives(federation: Path) -> None:
    for hospital in sorted(federation.iterdir()):
        assert sum(row["any"] == "1" for row in rows(hospital)) == round(0.4 * SMALL.studies)


def test_some_patients_come_back_and_none_visits_two_hospitals(federation: Path) -> None:
    patients = [
        [str(pydicom.dcmread(next(folder.iterdir())).PatientID) for folder in sorted((hospital / "dicom").iterdir())]
        for hospital in sorted(federation.iterdir())
    ]
    for names in patients:
        assert len(set(names)) == SMALL.studies - 1
        assert names[10] == names[11]
    assert not set(patients[0]) & set(patients[1])


def test_the_site_file_names_what_is_there(federation: Path) -> None:
    text = (federation / "hospital-2" / "site.yaml").read_text()
    assert yaml.safe_load(text) == {
        "name": "hospital-2",
        "dicom": ["dicom"],
        "labels": "labels.csv",
        "minimum_cohort": 1,
        "minimum_class": 1,
        "groups": "scanner",
        "cores": 1,
    }
    assert "no person was scanned" in text


def test_every_file_names_its_hospitals_scanner(federation: Path) -> None:
    for hospital, scanner in (("hospital-1", "synthetic-north-axial-one"), ("hospital-2", "synthetic-east-tilt-64")):
        paths = list((federation / hospital).rglob("*.dcm"))
        assert {read_headers(path)[0].scanner for path in paths} == {scanner}


def test_there_may_be_more_hospitals_than_scanners(tmp_path: Path) -> None:
    hospitals = write_federation(tmp_path / "five", TINY, workers=1, on_study=lambda: None)
    spacings = {pydicom.dcmread(next(hospital.rglob("*.dcm"))).PixelSpacing[0] for hospital in hospitals}
    assert len(spacings) == 5


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"something here already; remove it or choose another folder\.$"):
        write_federation(tmp_path, SMALL, workers=1, on_study=lambda: None)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"out: cannot be written \(Not a directory\)"):
        write_federation(tmp_path / "file" / "out", SMALL, workers=1, on_study=lambda: None)


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_federation(tmp_path / "out", SMALL, workers=1, on_study=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [("hospitals", 0), ("studies", 0), ("slices", 7), ("matrix", 47), ("matrix", 65), ("prevalence", 1.1)],
)
def test_impossible_settings_are_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"^{setting}: "):
        PhantomSettings(**{setting: value})  # type: ignore[arg-type]
