"""Certificates as a TLS client sees them: real handshakes, with the strictest rules that Python has."""

import ssl
import stat
from pathlib import Path

import pytest

from bloodnet_model.errors import DataError, SettingsError
from server.certificates import AUTHORITY, AUTHORITY_KEY, SERVER, SERVER_KEY, issue_server_certificate, make_authority


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_authority(tmp_path, "Test")
    issue_server_certificate(tmp_path, ["fl.example.org", "127.0.0.1", "::1"])
    return tmp_path


def shake_hands(folder: Path, host: str, trusted: Path) -> str | None:
    """Both ends of a handshake in memory; returns the version of TLS, raises ssl.SSLError as the client would."""
    client_context, server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    client_context.load_verify_locations(trusted)
    server_context.load_cert_chain(folder / SERVER, folder / SERVER_KEY)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(back, there, server_hostname=host)
    server = server_context.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.version()


@pytest.mark.parametrize("host", ["fl.example.org", "127.0.0.1", "::1"])
def test_a_site_that_trusts_the_authority_connects(folder: Path, host: str) -> None:
    assert shake_hands(folder, host, folder / AUTHORITY) == "TLSv1.3"


def test_another_host_or_another_authority_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(folder, "evil.example.org", folder / AUTHORITY)
    other = tmp_path_factory.mktemp("other")
    make_authority(other, "Test")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(folder, "fl.example.org", other / AUTHORITY)


def test_renewal_needs_nothing_new_at_the_sites(folder: Path) -> None:
    trusted, before = (folder / AUTHORITY).read_bytes(), (folder / SERVER).read_bytes()
    issue_server_certificate(folder, ["fl.example.org"])
    assert (folder / AUTHORITY).read_bytes() == trusted
    assert (folder / SERVER).read_bytes() != before
    assert shake_hands(folder, "fl.example.org", folder / AUTHORITY)


def test_a_certificate_whose_days_are_over_is_refused(folder: Path) -> None:
    issue_server_certificate(folder, ["fl.example.org"], days=0)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(folder, "fl.example.org", folder / AUTHORITY)


def test_keys_are_for_their_owner_alone(folder: Path) -> None:
    for name in (AUTHORITY_KEY, SERVER_KEY):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_an_authority_is_kept(folder: Path) -> None:
    with pytest.raises(DataError, match="the sites trust it"):
        make_authority(folder, "Test")


@pytest.mark.parametrize("host", ["", "fl example", "høst.example", "https://fl.example.org", "a..b"])
def test_what_is_no_host_is_said(folder: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="is no host name and no address"):
        issue_server_certificate(folder, [host])


def test_a_missing_or_foreign_authority_is_said(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    with pytest.raises(DataError, match="make the authority"):
        issue_server_certificate(other, ["fl.example.org"])
    make_authority(other, "Test")
    (folder / AUTHORITY_KEY).write_bytes((other / AUTHORITY_KEY).read_bytes())
    with pytest.raises(DataError, match="is not the key of"):
        issue_server_certificate(folder, ["fl.example.org"])
