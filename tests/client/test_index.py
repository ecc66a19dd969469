"""The index of a site's headers: read once, and again only what has changed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import client.dicom
import client.index
from bloodnet_model.errors import DataError
from client.index import FileIndex, up_to_date_index
from client.listing import found_files
from client.site_settings import Site, SiteSettings
from tests.client.dicom_factory import uid, write_slice

PLANE = np.zeros((4, 4))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    scans = tmp_path / "scans"
    write_slice(scans / "1", PLANE, study=2)
    write_slice(scans / "2", PLANE, study=1)
    write_slice(scans / "3", PLANE, study=2, index=1)
    write_slice(scans / "4", PLANE, Modality="MR")
    (scans / "notes").write_text("not an image")
    (tmp_path / ".bloodnet").mkdir()
    return Site(tmp_path, SiteSettings.model_validate({"name": "a", "dicom": ["scans"]}))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose headers are read."""
    names: list[str] = []
    read = client.dicom.read_headers

    def counting(path: Path) -> object:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(client.index, "read_headers", counting)
    return names


@contextmanager
def indexed(site: Site) -> Iterator[FileIndex]:
    with up_to_date_index(site, lambda *_: None) as index:
        yield index


def test_headers_by_study_and_a_line_for_the_rest(site: Site) -> None:
    with indexed(site) as index:
        assert index.studies() == [uid(1), uid(2)]
        assert [file.headers[0].path.name for file in index.files_of(uid(2))] == ["1", "3"]
        assert {entry.item: entry.reason for entry in index.rejected()} == {
            "scans/4": "not-ct",
            "scans/notes": "not-dicom",
        }


def test_a_second_look_opens_nothing(site: Site, reads: list[str]) -> None:
    with indexed(site) as index:
        version = index.version
    assert sorted(reads) == ["1", "2", "3", "4", "notes"]
    with indexed(site) as index:
        assert index.version == version
    assert len(reads) == 5


def test_only_what_changed_is_read_again(site: Site, reads: list[str]) -> None:
    with indexed(site) as index:
        version = index.version
    reads.clear()
    scans = site.folder / "scans"
    os.utime(scans / "1")
    write_slice(scans / "5", PLANE, study=3)
    (scans / "2").unlink()
    with indexed(site) as index:
        assert index.version != version
        assert index.studies() == [uid(2), uid(3)]
    assert reads == ["1", "5"]


def test_an_interrupted_look_goes_on_where_it_stopped(
    site: Site, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(client.index, "_TOGETHER", 1)
    with pytest.raises(KeyboardInterrupt), up_to_date_index(site, stop):
        pass
    assert reads == ["1", "2", "3"]
    with indexed(site) as index:
        assert index.studies() == [uid(1), uid(2)]
    assert reads == ["1", "2", "3", "4", "notes"]


def test_a_file_that_changes_while_it_is_read_is_read_again_next_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = client.dicom.read_headers

    def changing(path: Path) -> object:
        headers = read(path)
        if path.name == "2":
            path.write_bytes(path.read_bytes() + b"\0")
        return headers

    monkeypatch.setattr(client.index, "read_headers", changing)
    with indexed(site) as index:
        assert {entry.item: entry.reason for entry in index.rejected()}["scans/2"] == "changed"
    monkeypatch.undo()
    with indexed(site) as index:
        assert index.studies() == [uid(1), uid(2)]


def test_a_damaged_index_is_made_anew(site: Site) -> None:
    with indexed(site):
        pass
    (site.cache / "index.sqlite").write_bytes(b"no database at all" * 100)
    assert FileIndex.open(site) is None
    with indexed(site) as index:
        assert index.studies() == [uid(1), uid(2)]


def test_a_site_may_move(site: Site, tmp_path: Path, reads: list[str]) -> None:
    with indexed(site):
        pass
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    reads.clear()
    with indexed(Site(moved, site.settings)) as index:
        assert index.files_of(uid(1))[0].headers[0].path == moved / "scans" / "2"
    assert reads == []


def test_a_look_writes_nothing(site: Site) -> None:
    with indexed(site):
        pass
    before = (site.cache / "index.sqlite").read_bytes()
    os.utime(site.folder / "scans" / "1")
    index = FileIndex.open(site)
    assert index is not None
    with index:
        assert index.look(found_files(site))
    assert (site.cache / "index.sqlite").read_bytes() == before


def test_no_ct_at_all_is_an_error_with_its_remedy(site: Site) -> None:
    for name in "123":
        (site.folder / "scans" / name).unlink()
    with pytest.raises(DataError, match=r"none of its files is a CT slice; correct `dicom`"), indexed(site):
        pass
