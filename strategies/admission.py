"""The admission file: what a hospital's IT sends the coordinator, once, to be let in.

It is signed with the site's own key (ECDSA on NIST P-384 with SHA-384, over canonical JSON: keys sorted, no spaces), so
nobody can offer another's public key as his own, and a changed file is known.
"""

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as formats
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field

from bloodnet_model.errors import DataError
from bloodnet_model.settings import Settings, validated
from bloodnet_model.study import SITE_NAME

SUFFIX: Final = ".admission.json"
LONGEST_BYTES: Final = 1 << 16
_ADMISSION, _SIGNATURE = "admission", "signature"
_SIGNED_WITH: Final = ec.ECDSA(hashes.SHA384())

LabelKind = Literal["study", "slice", "mask"]
_Name = Annotated[str, Field(pattern="^[a-z-]{1,32}$")]


class Admission(Settings):
    """What a site says of itself before it is let in; counts below its minimum cohort are left out."""

    format: Literal[1] = 1
    site: str = Field(pattern=f"^{SITE_NAME}$")
    public_key: str = Field(max_length=512, description="of the site, as one OpenSSH line without a comment")
    version: str = Field(pattern=r"^[0-9A-Za-z.+!-]{1,32}$", description="of this software at the site")
    labels: tuple[LabelKind, ...] = Field((), description="at which levels the site knows the truth")
    counts: dict[_Name, Annotated[int, Field(ge=0)]] = Field(default_factory=dict, description="of studies, by kind")

    @property
    def fingerprint(self) -> str:
        """Of the public key, as `ssh-keygen -l` writes it: to be read out on the telephone."""
        blob = b64decode(self.public_key.split()[1])
        return f"SHA256:{b64encode(sha256(blob).digest()).decode().rstrip('=')}"


def openssh_line(key: ec.EllipticCurvePublicKey) -> str:
    """A public key as an admission file has it."""
    return key.public_bytes(formats.Encoding.OpenSSH, formats.PublicFormat.OpenSSH).decode()


def signed(admission: Admission, key: ec.EllipticCurvePrivateKey) -> str:
    """The file's text; `key` has to be the private half of the admission's."""
    signature = b64encode(key.sign(_canonical(admission), _SIGNED_WITH)).decode()
    return json.dumps({_ADMISSION: admission.model_dump(mode="json"), _SIGNATURE: signature}, indent=1) + "\n"


def verified(content: bytes, where: str) -> Admission:
    """What an admission file says; raises DataError or SettingsError, naming it `where`, where it cannot be trusted."""
    told, signature = _parts(content, where)
    admission = validated(Admission, told, where)
    key = _public_key(admission.public_key, where)
    try:
        key.verify(b64decode(signature, validate=True), _canonical(admission), _SIGNED_WITH)
    except (InvalidSignature, binascii.Error):
        raise DataError(
            f"{where}: its signature is not that of the key in it, so it was changed; have the site send it again."
        ) from None
    return admission


def _parts(content: bytes, where: str) -> tuple[Mapping[str, Any], str]:
    try:
        told = json.loads(content) if len(content) <= LONGEST_BYTES else None
    except (ValueError, RecursionError):
        told = None
    parts = (told.get(_ADMISSION), told.get(_SIGNATURE)) if isinstance(told, dict) else (None, None)
    if not isinstance(parts[0], dict) or not isinstance(parts[1], str):
        raise DataError(f"{where}: is no admission file; ask the site for the one that `bloodnet-client init` wrote.")
    return parts[0], parts[1]


def _public_key(line: str, where: str) -> ec.EllipticCurvePublicKey:
    try:
        key = formats.load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm, NotImplementedError):  # the last for a point that is compressed
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise DataError(f"{where}: its key is not on NIST P-384; have the site make its key anew.")
    if openssh_line(key) != line:
        raise DataError(f"{where}: its key is not one plain OpenSSH line; ask for the file that was written.")
    return key


def _canonical(admission: Admission) -> bytes:
    return json.dumps(admission.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()
