"""Replacing the authority: hospitals that hold both certificates connect before and after; see docs/coordinator.md."""

import ssl
from pathlib import Path

import pytest

from server.coordinator.init import initialise
from tests.server.test_certificates import shake_hands


def test_who_holds_both_authorities_connects_before_and_after(tmp_path: Path) -> None:
    old, new = (initialise(tmp_path / name, ["fl.example.org"], None).home for name in ("old", "new"))
    both = tmp_path / "both.crt"
    both.write_bytes(old.authority.read_bytes() + new.authority.read_bytes())
    for shown in (old.keys, new.keys):
        assert shake_hands(shown, "fl.example.org", both) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(new.keys, "fl.example.org", old.authority)


def test_after_the_exchange_the_coordinator_is_whole(tmp_path: Path) -> None:
    old, new = (initialise(tmp_path / name, ["fl.example.org"], None).home for name in ("old", "new"))
    for file in new.keys.iterdir():
        (old.keys / file.name).write_bytes(file.read_bytes())
    assert all(line.startswith("kept") for line in initialise(old.folder, [], None).done)
    assert shake_hands(old.keys, "fl.example.org", new.authority) == "TLSv1.3"
