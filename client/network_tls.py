"""What a TLS handshake with the coordinator shows and, where it fails, what stands in the way."""

import ssl
from datetime import datetime
from pathlib import Path
from typing import Final

import httpcore
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from client.findings import Finding

EXPIRY_WARNING_DAYS: Final = 60
_EXPIRED, _NOT_YET_VALID = 10, 9
_OTHER_HOST: Final = {62, 64}
"""Of OpenSSL's X509_V_ERR codes: which check of a certificate failed."""
_PLAIN: Final = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
_OLD: Final = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}


def node_context(authority: Path) -> ssl.SSLContext:
    """As Flower's node makes its own: the coordinator's authority alone, its host name, TLS 1.2 or later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.read_text("ascii"))
    context.set_alpn_protocols(["http/1.1"])
    return context


def any_context() -> ssl.SSLContext:
    """Takes any certificate: to look at it, never to send anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def certificate_of(stream: httpcore.NetworkStream) -> x509.Certificate:
    """The certificate that the other end has shown."""
    return x509.load_der_x509_certificate(stream.get_extra_info("ssl_object").getpeercert(True))


def on_handshake(error: Exception, host: str) -> Finding:
    """Why there is no TLS at all; where the certificate is what fails, ask `on_certificate`."""
    reason = getattr(error.__cause__, "reason", None) or ""
    if reason in _PLAIN:
        return Finding(
            "problem",
            "no-tls",
            f"What answers is not TLS; is it the right port? Ask the coordinator for the address, or the network team "
            f"what stands before {host}.",
        )
    if reason in _OLD:
        return Finding(
            "problem",
            "old-tls",
            "The other end offers no TLS 1.2 or later; ask the network team what stands in between, for the "
            "coordinator offers 1.2 and 1.3.",
        )
    if isinstance(error, httpcore.TimeoutException):
        return Finding(
            "problem",
            "tls-silent",
            "The port opens, and the TLS handshake is never answered: a firewall lets connections begin and then drops "
            f"what follows; ask the network team to let TLS to {host} through.",
        )
    return Finding(
        "problem",
        "tls-cut",
        "The connection is cut during the TLS handshake: by a firewall that judges by host name or kind of traffic, or "
        f"by a coordinator that is down; ask the network team to let TLS to {host} through, and the coordinator.",
    )


def on_certificate(code: int, shown: x509.Certificate, authority: Path, host: str, now: datetime) -> Finding:
    """Why the certificate that was shown is not taken; `code` is OpenSSL's."""
    if code == _EXPIRED:
        return Finding(
            "problem",
            "certificate-expired",
            f"The coordinator's certificate has expired on {shown.not_valid_after_utc:%d %B %Y} by this machine's "
            "clock; ask the coordinator to renew it, or set the clock.",
        )
    if code == _NOT_YET_VALID:
        return Finding(
            "problem",
            "certificate-not-yet-valid",
            f"By this machine's clock ({now:%d %B %Y, %H:%M} UTC) the coordinator's certificate is not valid yet; set "
            "the clock.",
        )
    if code in _OTHER_HOST:
        return Finding(
            "problem",
            "other-host",
            f"The certificate is for {_hosts(shown)}, not for {host}; write the name that the coordinator gave as "
            "`policy.coordinator` in site.yaml, or ask the coordinator to add this one.",
        )
    if any(shown.issuer == one.subject for one in _authorities(authority)):
        return Finding(
            "problem",
            "other-authority",
            f"The coordinator's authority has a new key, or {authority.name} is another coordinator's; ask for its "
            f"{authority.name} again, and compare the fingerprint by telephone.",
        )
    return Finding(
        "problem",
        "tls-intercepted",
        f"TLS is intercepted: the certificate for {host} was issued by {issuer_of(shown)}, not by the coordinator's "
        f"authority. Most likely a firewall or proxy opens the encryption; ask the network team to exempt {host} from "
        "TLS inspection. If they inspect nothing, ask the coordinator whether the address is right.",
    )


def on_expiry(shown: x509.Certificate, now: datetime) -> Finding | None:
    """A warning where the certificate has few days left."""
    days = (shown.not_valid_after_utc - now).days
    if days > EXPIRY_WARNING_DAYS:
        return None
    return Finding(
        "warning",
        "certificate-expires",
        f"The coordinator's certificate expires in {days} days, on {shown.not_valid_after_utc:%d %B %Y}; tell the "
        "coordinator. Nothing needs to change here when it is renewed.",
    )


def issuer_of(certificate: x509.Certificate) -> str:
    """Whoever issued it, by its common name or organisation."""
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in certificate.issuer.get_attributes_for_oid(kind):
            return f"“{attribute.value!s}”"
    return f"“{certificate.issuer.rfc4514_string()}”"


def fingerprints(authority: Path) -> list[str]:
    """SHA-256 of each certificate in the file, as `openssl x509 -fingerprint -sha256` writes it."""
    return [one.fingerprint(SHA256()).hex(":").upper() for one in _authorities(authority)]


def _authorities(path: Path) -> list[x509.Certificate]:
    """None where the file cannot be read, which is another step's to say."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []


def _hosts(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return "no host"
    hosts = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    return " and ".join(hosts) or "no host"
