"""Slices inside zip archives, whole, broken and hostile ones."""

import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bloodnet_model.errors import UnusableSlice
from client import archives
from client.archives import is_archive, members, open_file
from client.dicom import read_headers, read_slice_hu
from tests.client.dicom_factory import head_hu, write_series, write_slice

HEAD_HU = head_hu()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A zip of one series in two folders, and of a text."""
    write_series(tmp_path / "series")
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number, slice_path in enumerate(sorted((tmp_path / "series").iterdir())):
            file.write(slice_path, f"study {number % 2}/{slice_path.name}")
        file.writestr("readme.txt", "hello")
        file.mkdir("empty")
    return path


def bad(path: Path) -> str:
    with pytest.raises(UnusableSlice) as caught:
        read_slice_hu(path)
    assert caught.value.reason == "bad-archive"
    return str(caught.value)


def test_a_member_is_a_slice_like_any_other(export: Path, tmp_path: Path) -> None:
    found = sorted(members(export))
    assert len(found) == len(HEAD_HU) + 1
    assert found[0] == export / "readme.txt"
    for path in found[1:]:
        assert path.parts[-2] in ("study 0", "study 1")
        (inside,), (outside,) = read_headers(path), read_headers(tmp_path / "series" / path.name)
        assert inside.sop_uid == outside.sop_uid
        assert inside.path == path
        assert_array_equal(read_slice_hu(path), read_slice_hu(outside.path))
    with open_file(export / "readme.txt") as file:
        assert file.read() == b"hello"


def test_an_archive_is_known_by_name_and_content(export: Path, tmp_path: Path) -> None:
    assert is_archive(export)
    assert is_archive(export.rename(tmp_path / "EXPORT.ZIP"))
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "folder.zip").mkdir()
    assert not any(map(is_archive, (tmp_path / "text.zip", tmp_path / "folder.zip", tmp_path / "gone.zip")))
    assert not is_archive((tmp_path / "EXPORT.ZIP").rename(tmp_path / "export.docx"))


def test_the_list_of_members_is_read_once_until_the_archive_changes(export: Path) -> None:
    with mock.patch.object(archives, "ZipFile", wraps=zipfile.ZipFile) as opened:
        for path in members(export):
            if path.suffix == ".dcm":
                read_slice_hu(path)
        assert opened.call_count <= 1
        with zipfile.ZipFile(export, "a") as file:
            file.writestr("more.txt", "more")
        assert export / "more.txt" in set(members(export))
        assert opened.call_count <= 2


def test_no_file_stays_open(export: Path) -> None:
    """A worker process that inherited an open one would share its position."""
    for path in members(export):
        if path.suffix == ".dcm":
            read_slice_hu(path)
    assert str(export) not in {str(link.resolve()) for link in Path("/proc/self/fd").iterdir()}


def test_a_missing_member_and_a_missing_file_differ(export: Path, tmp_path: Path) -> None:
    assert "not in it" in bad(export / "study 0" / "gone.dcm")
    with pytest.raises(UnusableSlice) as caught:
        read_headers(tmp_path / "gone.dcm")
    assert caught.value.reason == "missing-file"
    (tmp_path / "file").write_text("x")
    assert "cannot be read" in bad(tmp_path / "file" / "below")


def test_an_encrypted_member_is_told(export: Path) -> None:
    raw = bytearray(export.read_bytes())
    at = raw.index(b"PK\1\2")
    raw[at + 8] |= 1
    export.write_bytes(raw)
    assert "encrypted" in bad(next(members(export)))


def test_other_compressions_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("a.dcm", b"x" * 1000)
    assert "compressed" in bad(path / "a.dcm")


def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.dcm", b"x" * 1000)
    raw = path.read_bytes()
    at = raw.index(b"PK\1\2")
    path.write_bytes(raw[: at + 24] + (0xF0000000).to_bytes(4, "little") + raw[at + 28 :])
    assert "MiB" in bad(path / "bomb.dcm")


def test_a_member_that_is_larger_than_it_says_ends_where_it_says(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.bin", bytes(10_000_000))
    raw = path.read_bytes()
    at = raw.index(b"PK\1\2")
    path.write_bytes(raw[: at + 24] + (1000).to_bytes(4, "little") + raw[at + 28 :])
    with pytest.raises(UnusableSlice):
        open_file(path / "a.bin", checked=True)


def test_a_wrong_checksum_is_no_slice(tmp_path: Path) -> None:
    """The header lies in the first kilobytes; that the rest is damaged shows once all of it is read."""
    noise = np.random.default_rng(0).integers(-1000, 1000, (256, 256))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(write_slice(tmp_path / "a", noise), "a.dcm")
    assert_array_equal(read_slice_hu(path / "a.dcm"), noise)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\1\2") + 16] ^= 0xFF
    path.write_bytes(raw)
    assert read_headers(path / "a.dcm")
    assert "broken" in bad(path / "a.dcm")


@pytest.mark.parametrize("name", ["../outside.dcm", "/etc/passwd", "a/../../b.dcm", "a/.."])
def test_a_name_that_leads_outside_is_told_and_leads_nowhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, b"inside")
    (found,) = members(path)
    assert found.is_relative_to(path)
    assert "outside" in bad(found)


@pytest.mark.parametrize("name", ["./a.dcm", "b//c.dcm", "deep/" * 40 + "d", "ümläut.dcm", "with\\backslash"])
def test_odd_names_are_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, b"inside")
    (found,) = members(path)
    with open_file(found) as file:
        assert file.read() == b"inside"


def test_broken_archives_are_told(export: Path, tmp_path: Path) -> None:
    raw = export.read_bytes()
    for broken in (raw[: len(raw) // 2], raw[:-10], b"PK\3\4", raw.replace(b"PK\1\2", b"PK\1\1")):
        path = tmp_path / "broken.zip"
        path.write_bytes(broken)
        assert is_archive(path)
        with pytest.raises(UnusableSlice) as caught:
            list(members(path))
        assert caught.value.reason == "bad-archive"
    member = sorted(members(export))[-1]
    export.write_bytes(raw.replace(b"PK\3\4", b"PK\3\3"))
    assert "not where" in bad(member)


def test_an_archive_that_was_deleted_is_told(export: Path) -> None:
    member = next(members(export))
    export.unlink()
    with pytest.raises(UnusableSlice):
        read_headers(member)
    with pytest.raises(UnusableSlice):
        members(export)
