"""A site's key: readable by its owner alone, in the form that Flower takes, and never written over."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from bloodnet_model.errors import DataError
from client.keys import make_node_key, public_key


def test_both_halves_are_of_one_p384_key(tmp_path: Path) -> None:
    make_node_key(tmp_path / "node.key")
    private = load_ssh_private_key((tmp_path / "node.key").read_bytes(), None)
    public = load_ssh_public_key(public_key(tmp_path / "node.key").encode())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, ec.SECP384R1)
    assert private.public_key() == public
    assert stat.S_IMODE((tmp_path / "node.key").stat().st_mode) == 0o600


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    make_node_key(tmp_path / "node.key")
    before = (tmp_path / "node.key").read_bytes()
    with pytest.raises(DataError, match="is there already"):
        make_node_key(tmp_path / "node.key")
    assert (tmp_path / "node.key").read_bytes() == before


def test_what_is_no_such_key_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        public_key(tmp_path / "none.key")
    (tmp_path / "bad.key").write_text("nonsense")
    with pytest.raises(DataError, match="no private key in OpenSSH's format"):
        public_key(tmp_path / "bad.key")
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (tmp_path / "other.key").write_bytes(other)
    with pytest.raises(DataError, match="not a key on a NIST curve"):
        public_key(tmp_path / "other.key")
