"""A file that cannot be written: what to do about it."""

import errno
import os
from pathlib import Path

import pytest

from bloodnet_model.errors import DataError
from bloodnet_model.files import write_whole


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "make room for it"), (errno.EROFS, "make the folder writable")]
)
def test_a_full_disk_needs_room_and_another_one_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def fails(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(DataError, match=remedy):
        write_whole(tmp_path / "file", "text")
    assert not list(tmp_path.iterdir())
