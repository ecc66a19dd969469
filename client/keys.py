"""A site's own key, with which its SuperNode signs what it sends. The private half is made here and stays here.

Flower asks for a key on a NIST curve, the private half in OpenSSH's format, the public half as one OpenSSH line.
"""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as formats
from cryptography.hazmat.primitives.asymmetric import ec

from bloodnet_model.errors import DataError
from bloodnet_model.files import write_secret


def make_node_key(path: Path) -> None:
    """Write a new NIST P-384 private key to `path`, for its owner's eyes only; raises DataError where there is one."""
    if path.exists():
        raise DataError(f"{path}: is there already; the site is known by it: keep it, or move it away.")
    key = ec.generate_private_key(ec.SECP384R1())
    write_secret(path, key.private_bytes(formats.Encoding.PEM, formats.PrivateFormat.OpenSSH, formats.NoEncryption()))


def public_key(path: Path) -> str:
    """The public half of the private key in `path`, as one OpenSSH line: what the site sends to the coordinator.

    Raises DataError where there is no readable key on a NIST curve.
    """
    try:
        key = formats.load_ssh_private_key(path.read_bytes(), None)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); make the site's key anew.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise DataError(f"{path}: holds no private key in OpenSSH's format; make the site's key anew.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise DataError(f"{path}: is not a key on a NIST curve; make the site's key anew.")
    line = key.public_key().public_bytes(formats.Encoding.OpenSSH, formats.PublicFormat.OpenSSH)
    return f"{line.decode()}\n"
