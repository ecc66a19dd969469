"""Finding a site's files and reading their headers."""

from pathlib import Path

import numpy as np
import pytest

from bloodnet_model.errors import DataError
from client.index import index_studies, listed_files
from client.ledger import Ledger
from client.site_settings import Site, SiteSettings
from tests.client.dicom_factory import uid, write_slice


def site(folder: Path, *dicom: str, **settings: str) -> Site:
    return Site(folder, SiteSettings.model_validate({"name": "a", "dicom": dicom, **settings}))


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_searched_to_their_depth_and_the_sites_own_files_left_out(tmp_path: Path) -> None:
    scans = [tmp_path / "a.dcm", tmp_path / "deep" / "er" / "b"]
    touch(*scans, tmp_path / "site.yaml", tmp_path / "labels.csv", tmp_path / ".bloodnet" / "ledger.csv")
    assert sorted(listed_files(site(tmp_path, "."))) == scans


def test_a_manifest_lists_files_relative_to_itself(tmp_path: Path) -> None:
    touch(tmp_path / "pacs" / "1.dcm", tmp_path / "pacs" / "2.dcm")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "week.txt").write_text("../pacs/1.dcm\n\n../pacs/gone.dcm\n")
    listed = [path.resolve() for path in listed_files(site(tmp_path, "lists/week.txt"))]
    assert listed == [tmp_path / "pacs" / "1.dcm", tmp_path / "pacs" / "gone.dcm"]


@pytest.mark.parametrize("name", ["pacs", "list.txt"])
def test_a_missing_root_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=name):
        list(listed_files(site(tmp_path, name)))


def test_headers_are_grouped_by_study_and_the_rest_is_in_the_ledger(tmp_path: Path) -> None:
    plane = np.zeros((4, 4))
    files = [
        write_slice(tmp_path / "1", plane, study=2),
        write_slice(tmp_path / "2", plane, study=1),
        write_slice(tmp_path / "3", plane, study=2, index=1),
        write_slice(tmp_path / "4", plane, Modality="MR"),
        tmp_path / "gone",
    ]
    (tmp_path / "notes").write_text("not an image")
    ledger = Ledger(tmp_path)
    studies = index_studies([*files, tmp_path / "notes"], ledger)
    assert {study: [header.path.name for header in headers] for study, headers in studies.items()} == {
        uid(1): ["2"],
        uid(2): ["1", "3"],
    }
    assert {entry.item: entry.reason for entry in ledger} == {
        "4": "not-ct",
        "gone": "missing-file",
        "notes": "not-dicom",
    }
