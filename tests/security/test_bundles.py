"""Bundles of the installed files, packed in every other way: what passes unpacks to those files and no others."""

import io
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from flwr.cli.install import install_from_fab

from bloodnet_model.errors import DataError
from strategies.bundle import app_bundle, bundle_digest, bundle_files

Files = list[tuple[str, bytes]]
EVIL = b"raise SystemExit"


def packed(
    files: Files,
    compression: int = zipfile.ZIP_DEFLATED,
    mode: int = 0o100644,
    comment: bytes = b"",
    before: bytes = b"",
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.comment = comment
        for name, content in files:
            member = zipfile.ZipInfo(name)
            member.external_attr, member.compress_type = mode << 16, compression
            archive.writestr(member, content)
    return before + buffer.getvalue()


def _other_local_name(files: Files) -> bytes:
    """The list at the end of the zip says one name, the place of the file another."""
    bundle = packed(files, zipfile.ZIP_STORED)
    at = bundle.index(b"client/app.py")
    return bundle[:at] + b"client/apq.py" + bundle[at + 13 :]


SAME: dict[str, Callable[[Files], bytes]] = {
    "another order": lambda files: packed(files[::-1]),
    "not compressed": lambda files: packed(files, zipfile.ZIP_STORED),
    "bzip2": lambda files: packed(files, zipfile.ZIP_BZIP2),
    "lzma": lambda files: packed(files, zipfile.ZIP_LZMA),
    "files that are said to be links": lambda files: packed(files, mode=0o120777),
    "a comment": lambda files: packed(files, comment=b"x" * 99),
    "something before the zip": lambda files: packed(files, before=b"#!/bin/sh\n"),
}
OTHER: dict[str, Callable[[Files], bytes]] = {
    "a file outside": lambda files: packed([*files, ("../evil.py", EVIL)]),
    "a file at the root": lambda files: packed([*files, ("/tmp/evil.py", EVIL)]),
    "a file beside": lambda files: packed([*files, ("numpy.py", EVIL)]),
    "a folder": lambda files: packed([*files, ("numpy/", b"")]),
    "a link": lambda files: packed([*files, ("numpy.py", b"/tmp/evil.py")], mode=0o120777),
    "another spelling": lambda files: packed([*files, ("client/./app.py", EVIL)]),
    "another slash": lambda files: packed([*files, ("client\\app.py", EVIL)]),
    "another case": lambda files: packed([*files, ("client/App.py", EVIL)]),
    "a name twice": lambda files: packed([*files, ("client/app.py", EVIL)]),
    "a name with an end inside": lambda files: packed([*files, ("client/app.py\0.txt", EVIL)]),
    "one file less": lambda files: packed(files[:-1]),
    "another local name": _other_local_name,
    "cut off": lambda files: packed(files)[:-30],
}


@pytest.fixture(autouse=True)
def _unpacked_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "flower"))


def own_files() -> Files:
    return list(bundle_files(app_bundle()).items())


def digest_of(bundle: bytes) -> str:
    try:
        return bundle_digest(bundle_files(bundle))
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("way", SAME)
def test_a_bundle_packed_otherwise_unpacks_to_the_same_files(way: str) -> None:
    files = own_files()
    bundle = SAME[way](files)
    assert sha256(bundle).digest() != sha256(app_bundle()).digest()
    assert digest_of(bundle) == digest_of(app_bundle())
    there = install_from_fab(bundle, skip_prompt=True)
    unpacked = {path.relative_to(there).as_posix(): path for path in there.rglob("*") if not path.is_dir()}
    assert not any(path.is_symlink() for path in unpacked.values())
    assert {name: path.read_bytes() for name, path in unpacked.items()} == {
        name: content for name, content in files if not name.startswith(".info/")
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("way", OTHER)
def test_a_bundle_that_would_unpack_to_something_else_is_another_one(way: str) -> None:
    assert digest_of(OTHER[way](own_files())) != digest_of(app_bundle())


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bundle_whose_bytes_are_damaged_is_none(compression: int) -> None:
    bundle = bytearray(packed(own_files(), compression))
    bundle[60:90] = b"\xff" * 30
    with pytest.raises(DataError, match="not a whole zip file"):
        bundle_files(bytes(bundle))
