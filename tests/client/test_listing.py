"""Finding a site's files."""

import os
import zipfile
from pathlib import Path

import pytest

from bloodnet_model.errors import DataError
from client.listing import FoundFile, found_files, state_of
from client.site_settings import Site, SiteSettings


def site(folder: Path, *dicom: str, **settings: str) -> Site:
    return Site(folder, SiteSettings.model_validate({"name": "a", "dicom": dicom, **settings}))


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(folder: Path, *dicom: str) -> dict[str, FoundFile]:
    return {str(file.path.relative_to(folder)): file for file in found_files(site(folder, *dicom))}


def test_folders_are_searched_to_their_depth_and_the_sites_own_files_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "a.dcm", tmp_path / "deep" / "er" / "b")
    touch(tmp_path / "site.yaml", tmp_path / "labels.csv", tmp_path / ".bloodnet" / "ledger.csv")
    assert found(tmp_path, ".").keys() == {"a.dcm", "deep/er/b"}


def test_a_manifest_lists_files_relative_to_itself(tmp_path: Path) -> None:
    touch(tmp_path / "pacs" / "1.dcm", tmp_path / "pacs" / "2.dcm")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "week.txt").write_text("../pacs/1.dcm\n\n../pacs/gone.dcm\n")
    listed = {file.path.resolve(): file.reason for file in found_files(site(tmp_path, "lists/week.txt"))}
    assert listed == {tmp_path / "pacs" / "1.dcm": "", tmp_path / "pacs" / "gone.dcm": "missing-file"}


@pytest.mark.parametrize("name", ["pacs", "list.txt"])
def test_a_missing_root_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=name):
        list(found_files(site(tmp_path, name)))


def test_an_archive_is_looked_into_wherever_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "pacs").mkdir()
    with zipfile.ZipFile(tmp_path / "pacs" / "export.zip", "w") as archive:
        archive.writestr("study/1", "one")
        archive.writestr("study/2", "two")
    members = {"pacs/export.zip/study/1", "pacs/export.zip/study/2"}
    assert found(tmp_path, "pacs").keys() == found(tmp_path, "pacs/export.zip").keys() == members
    (tmp_path / "list.txt").write_text("pacs/export.zip/study/2\n")
    (member,) = found_files(site(tmp_path, "list.txt"))
    assert (member.reason, (member.size, member.mtime_ns)) == ("", state_of(tmp_path / "pacs" / "export.zip"))


def test_what_cannot_be_opened_is_named_and_not_waited_for(tmp_path: Path) -> None:
    touch(tmp_path / "pacs" / "1.dcm", tmp_path / "other" / "2.dcm")
    os.mkfifo(tmp_path / "pacs" / "pipe")
    (tmp_path / "pacs" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "pacs" / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "pacs" / "broken.zip").write_bytes(b"PK\3\4 and no more")
    reasons = {name.removeprefix("pacs/"): file.reason for name, file in found(tmp_path, "pacs").items()}
    assert reasons == {
        "1.dcm": "",
        "pipe": "unreadable",
        "link": "unreadable",
        "dangling": "missing-file",
        "broken.zip": "bad-archive",
    }


def test_the_state_of_a_file_that_is_gone(tmp_path: Path) -> None:
    assert state_of(tmp_path / "gone") == (-1, -1)
