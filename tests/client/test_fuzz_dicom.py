"""Damaged files of every kind: nothing leaves the error tree, nothing waits, no decoder ends the process.

The decoders are C code, so each syntax is tried in a process of its own, whose death names the file that killed it.
"""

import multiprocessing
import random
import struct
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from bloodnet_model.errors import UnusableSlice
from client.archives import is_archive, members
from client.dicom import decode_hu, read_headers
from tests.client.dicom_enhanced import enhanced
from tests.client.dicom_factory import write_slice
from tests.client.dicom_syntaxes import LOSSLESS, LOSSY, write_compressed

LONGEST_SLICE_S = 20.0
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
MULTI_FRAME = "multi-frame"
PLANE_HU = np.random.default_rng(0).normal(0, 300, (40, 48)).round()


def write_one(path: Path, syntax: str) -> Path:
    if syntax == MULTI_FRAME:
        return enhanced(path)
    if syntax in NATIVE:
        return write_slice(path, PLANE_HU, syntax=syntax, dtype=">i2" if syntax == ExplicitVRBigEndian else "<i2")
    return write_compressed(path, PLANE_HU, syntax, dtype="<u2", intercept=-1500, BitsStored=12)


def damaged(raw: bytes, rng: random.Random, first: int = 0) -> bytes:
    """The file with a few bytes or lengths changed, pieces lost, added or cut off; often near its pixels' head."""
    data = bytearray(raw)
    pixels = max(raw.find(b"\xe0\x7f\x10\x00"), first)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if len(data) < first + 8:
            break
        near = rng.random() < 0.5 and pixels + 160 < len(data)
        at = rng.randrange(pixels, pixels + 160) if near else rng.randrange(first, len(data) - 4)
        change = rng.random()
        if change < 0.6:
            data[at] = rng.choice((0, 0xFF, rng.randrange(256), data[at] ^ 1 << rng.randrange(8)))
        elif change < 0.8:
            data[at : at + 4] = struct.pack("<I", rng.choice((0, 0xFFFFFFFF, 0x7FFFFFFF, rng.randrange(1 << 16))))
        elif change < 0.87:
            del data[at : at + rng.choice((1, 2, 40, 400))]
        elif change < 0.94:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 40)))
        else:
            del data[at:]
    return bytes(data)


def read_all(path: Path) -> None:
    """What a site does with a file; only the errors that it expects are passed over."""
    with suppress(UnusableSlice):
        for member in members(path) if is_archive(path) else (path,):
            with suppress(UnusableSlice):
                for header in read_headers(member)[:4]:
                    with suppress(UnusableSlice):
                        assert np.isfinite(decode_hu(header)).all()


def try_damaged(folder: Path, syntax: str, seed: int, seconds: float, report: Connection) -> None:
    """Runs in a process of its own; the file on trial is on disk when it ends."""
    rng = random.Random(f"{syntax} {seed}")
    raw = write_one(folder / "whole", syntax).read_bytes()
    path, tries, slowest = folder / "trial", 0, 0.0
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        path.write_bytes(damaged(raw, rng, first=132))
        before = time.monotonic()
        read_all(path)
        slowest, tries = max(slowest, time.monotonic() - before), tries + 1
    report.send((tries, slowest))


def require_survival(folder: Path, syntaxes: Sequence[str], seconds: float) -> None:
    context = multiprocessing.get_context("spawn")
    for syntax in syntaxes:
        receive, send = context.Pipe(duplex=False)
        own = folder / syntax
        own.mkdir()
        process = context.Process(target=try_damaged, args=(own, syntax, 0, seconds, send))
        process.start()
        process.join(seconds + LONGEST_SLICE_S)
        alive, code = process.is_alive(), process.exitcode
        if alive:
            process.kill()
            process.join()
        assert not alive, f"{syntax}: no end of {own / 'trial'}"
        assert code == 0, f"{syntax}: ended the process with {code}; see {own / 'trial'}"
        tries, slowest = receive.recv()
        assert tries > 10
        assert slowest < LONGEST_SLICE_S


def test_damaged_files_of_some_syntaxes(tmp_path: Path) -> None:
    """A taste of the slow test: the decoder that used to end its process, and the commonest of hospitals."""
    require_survival(tmp_path, ("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.70"), seconds=0.4)


@pytest.mark.slow
@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS, *LOSSY, MULTI_FRAME])
def test_damaged_files_of_every_syntax(tmp_path: Path, syntax: str) -> None:
    require_survival(tmp_path, [syntax], seconds=0.9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(syntax=st.sampled_from((*NATIVE, MULTI_FRAME)), seed=st.integers(0, 2**32 - 1))
def test_damaged_native_files(folder: Path, syntax: str, seed: int) -> None:
    raw = write_one(folder / "whole", syntax).read_bytes()
    (folder / "trial").write_bytes(damaged(raw, random.Random(seed)))
    read_all(folder / "trial")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(start=st.sampled_from((b"", b"\0" * 128 + b"DICM", b"PK\3\4", b"\x08\x00\x05\x00CS\x0a\x00")), noise=st.binary())
def test_noise(folder: Path, start: bytes, noise: bytes) -> None:
    for name in ("noise", "noise.zip"):
        (folder / name).write_bytes(start + noise)
        read_all(folder / name)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_archives(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", compression) as file:
        for number in range(3):
            file.write(write_slice(tmp_path / "slice", PLANE_HU[:8, :8], index=number), f"study/{number}.dcm")
    raw, rng = path.read_bytes(), random.Random(0)
    directory = raw.index(b"PK\1\2")
    for _ in range(250):
        path.write_bytes(damaged(raw, rng, first=directory if rng.random() < 0.5 else 0))
        read_all(path)
