"""Private keys, in all the ways in which they could be written; and who may read a file."""

import stat
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

_PRIVATE_BYTES = 48  # of a number below the order of NIST P-384


def spellings(key: Path) -> Iterator[bytes]:
    """The lines of a private key's file that hold it, and its number in bytes and hexadecimal."""
    content = key.read_bytes()
    loaded = load_ssh_private_key(content, None) if b"OPENSSH" in content else load_pem_private_key(content, None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    number = loaded.private_numbers().private_value.to_bytes(_PRIVATE_BYTES, "big")
    yield number
    yield number.hex().encode()
    body = content.splitlines()[1:-1]
    yield from body[len(body) // 2 :]  # in OpenSSH's format the first lines are those of the public half


def open_to_others(folder: Path) -> list[str]:
    """What in `folder` somebody else than its owner could read or change: nothing, where he cannot enter it."""
    if not stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return []
    below = [folder, *folder.rglob("*")]
    return [f"{path}: {path.stat().st_mode & 0o777:o}" for path in below if path.stat().st_mode & 0o077]
