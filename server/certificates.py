"""The coordinator's own certificate authority, and the certificates that its server shows.

Sites trust the authority (`ca.crt`), so the server's certificate is renewed without telling them. RFC 5280; keys on
NIST P-384.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as formats
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bloodnet_model.errors import DataError, SettingsError
from bloodnet_model.files import write_secret, write_whole

AUTHORITY, AUTHORITY_KEY = "ca.crt", "ca.key"
SERVER, SERVER_KEY = "server.crt", "server.key"
INNER, INNER_KEY = "superlink.crt", "superlink.key"
AUTHORITY_DAYS: Final = 3650
SERVER_DAYS: Final = 397
"""Longest life of a server certificate that all common TLS clients accept."""
_CLOCK_SKEW: Final = timedelta(hours=1)


def make_authority(folder: Path, name: str) -> None:
    """Write `ca.crt` and `ca.key` of a new authority called `name`; raises DataError where there is one."""
    if (folder / AUTHORITY).exists():
        raise DataError(f"{folder / AUTHORITY}: is there already; the sites trust it: keep it, or move it away.")
    key = ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = _key_usage(signs_certificates=True)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _dated(subject, subject, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(own, critical=False)
        .sign(key, hashes.SHA384())
    )
    _write_key(folder / AUTHORITY_KEY, key)
    write_whole(folder / AUTHORITY, certificate.public_bytes(formats.Encoding.PEM))


def issue_server_certificate(folder: Path, hosts: Sequence[str], days: int = SERVER_DAYS) -> None:
    """Write `server.crt` and `server.key`, signed by the authority in `folder`, in place of earlier ones.

    hosts: names and addresses that sites reach the server by; the certificate holds for these alone
    Raises SettingsError for a host that is neither, DataError where there is no readable authority.
    """
    authority, authority_key = _authority(folder)
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = _server_certificate(hosts, key, authority.subject, authority_key, days)
    _replace_pair(folder / SERVER, certificate, folder / SERVER_KEY, key)


def make_inner_certificate(folder: Path, hosts: Sequence[str]) -> None:
    """Write `superlink.crt` and `superlink.key`: signed by itself, trusted on this machine alone, and for long.

    So what the door shows to hospitals, and who vouches for it, can change while the SuperLink behind it goes on.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    certificate = _server_certificate(hosts, key, subject, key, AUTHORITY_DAYS)
    _replace_pair(folder / INNER, certificate, folder / INNER_KEY, key)


def is_pair(certificate: Path, key: Path) -> bool:
    """Whether a certificate and a private key can be read, and are of each other."""
    try:
        public = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
        return formats.load_pem_private_key(key.read_bytes(), None).public_key() == public
    except (OSError, ValueError, TypeError):
        return False


def _server_certificate(
    hosts: Sequence[str], key: ec.EllipticCurvePrivateKey, signer: x509.Name, by: ec.EllipticCurvePrivateKey, days: int
) -> x509.Certificate:
    names = x509.SubjectAlternativeName([host_name(host) for host in hosts])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    return (
        _dated(subject, signer, key.public_key(), days)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .sign(by, hashes.SHA384())
    )


def _replace_pair(path: Path, certificate: x509.Certificate, key_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    key_path.unlink(missing_ok=True)
    _write_key(key_path, key)
    write_whole(path, certificate.public_bytes(formats.Encoding.PEM))


@dataclass(frozen=True)
class Shown:
    """What a certificate says of itself."""

    hosts: frozenset[str]
    expires: datetime
    fingerprint: str
    """SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` writes it."""

    def days_left(self, now: datetime) -> int:
        """Whole days until it expires; below 0 where it has."""
        return (self.expires - now).days


def shown(path: Path) -> Shown:
    """The certificate in `path`; raises DataError where there is no readable one."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise DataError(f"{path}: holds no readable certificate; bring it back from a backup.") from None
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = frozenset(str(name.value) for name in names)
    except x509.ExtensionNotFound:  # an authority's
        hosts = frozenset()
    return Shown(hosts, certificate.not_valid_after_utc, certificate.fingerprint(hashes.SHA256()).hex(":").upper())


def _dated(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _CLOCK_SKEW).not_valid_after(now + timedelta(days=days))


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def host_name(host: str) -> x509.GeneralName:
    """A host as certificates write it; raises SettingsError for what is neither a name nor an address."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        name = x509.DNSName(host)
    except ValueError:  # not ASCII
        name = None
    if name is None or not host or not all(part and part.replace("-", "a").isalnum() for part in host.split(".")):
        raise SettingsError(f"{host!r}: is no host name and no address; give one, such as fl.example.org.")
    return name


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
        key = formats.load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), None)
    except (OSError, ValueError, TypeError):
        raise DataError(f"{folder}: holds no readable {AUTHORITY} and {AUTHORITY_KEY}; make the authority.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise DataError(f"{folder / AUTHORITY_KEY}: is not the key of {AUTHORITY}; bring the right one back.")
    return certificate, key


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a key that nobody else may read, and never over another."""
    write_secret(path, key.private_bytes(formats.Encoding.PEM, formats.PrivateFormat.PKCS8, formats.NoEncryption()))
