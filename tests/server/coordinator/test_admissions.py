"""Who is admitted: what is refused and with what remedy, and a log that cannot be changed unseen."""

import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from bloodnet_model.chained_log import DamagedLog
from bloodnet_model.errors import DataError
from server.cli import app
from server.coordinator.admissions import LOG, admit, admitted, revoke
from server.coordinator.home import Home
from server.coordinator.init import initialise
from simulation.engines.loopback import free_ports
from strategies.admission import Admission, openssh_line, signed

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
OURS = version("bloodnet-federation")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    folder = tmp_path / "fl"
    home = initialise(folder, ["fl.example.org"], None).home
    with (folder / "coordinator.yaml").open("a") as file:  # where nobody answers
        file.write(f"superlink_port: {free_ports(1)[0]}\n")
    return home


def written(folder: Path, site: str, key: int, software: str = OURS, counts: dict[str, int] | None = None) -> Path:
    """The admission file of a site with the private key number `key`."""
    private = ec.derive_private_key(key, ec.SECP384R1())
    admission = Admission(
        site=site, public_key=openssh_line(private.public_key()), version=software, counts=counts or {}
    )
    path = folder / f"{site}-{key}.admission.json"
    path.write_text(signed(admission, private))
    return path


@pytest.mark.parametrize(
    ("site", "key", "software", "told"),
    [
        ("site-b", 1, OURS, "its key is known already, as that of site-a"),
        ("site-a", 2, OURS, "is admitted already, with another key"),
        ("site-b", 2, "0.0.9", f"upgrade site-b to {OURS}"),
        ("site-b", 2, "99.0", "upgrade this coordinator to 99.0"),
    ],
)
def test_who_is_not_admitted_is_told_what_to_do(
    home: Home, tmp_path: Path, site: str, key: int, software: str, told: str
) -> None:
    admit(home, written(tmp_path, "site-a", 1), NOW)
    with pytest.raises(DataError, match=told):
        admit(home, written(tmp_path, site, key, software), NOW)
    assert list(admitted(home)) == ["site-a"]


def test_what_a_site_says_of_its_data_is_replaced_and_its_key_stays(home: Home, tmp_path: Path) -> None:
    admit(home, written(tmp_path, "site-a", 1), NOW)
    later = NOW + timedelta(days=3)
    admit(home, written(tmp_path, "site-a", 1, counts={"train-studies": 120}), later)
    (site,) = admitted(home).values()
    assert (site.admission.counts, site.admitted) == ({"train-studies": 120}, NOW.isoformat())
    assert site.updated == later.isoformat()
    revoke(home, "site-a", later)
    with pytest.raises(DataError, match="makes a key of its own"):
        admit(home, written(tmp_path, "site-a", 1, counts={"train-studies": 120}), later)
    assert admitted(home)["site-a"].revoked


def test_a_revoked_key_never_comes_back(home: Home, tmp_path: Path) -> None:
    file = written(tmp_path, "site-a", 1)
    admit(home, file, NOW)
    revoke(home, "site-a", NOW)
    with pytest.raises(DataError, match="makes a key of its own"):
        admit(home, file, NOW)
    with pytest.raises(DataError, match="was revoked already"):
        revoke(home, "site-a", NOW)
    with pytest.raises(DataError, match="was never admitted"):
        revoke(home, "site-b", NOW)


def test_a_changed_log_is_found(home: Home, tmp_path: Path) -> None:
    admit(home, written(tmp_path, "site-a", 1), NOW)
    revoke(home, "site-a", NOW)
    log = home.sites / LOG
    log.write_text(log.read_text().replace('"revoked"', '"praised"'))
    with pytest.raises(DamagedLog, match="line 2"):
        admitted(home)
    with pytest.raises(DamagedLog, match="line 2"):
        admit(home, written(tmp_path, "site-b", 2), NOW)


def test_the_commands_say_what_was_done(home: Home, tmp_path: Path) -> None:
    def typed(*words: str | Path) -> str:
        found = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
        assert found.exit_code == 0
        return found.stdout

    shown = typed("admit", home.folder, written(tmp_path, "site-a", 1), written(tmp_path, "site-b", 2))
    assert f"site-a is admitted; it has version {OURS}, as this coordinator has\n  key SHA256:" in shown
    assert "`bloodnet-server up` will tell it" in shown
    assert "site-b is revoked" in typed("revoke", home.folder, "site-b")
    a, b = json.loads(typed("sites", home.folder, "--json"))
    assert (a["site"], a["version"], a["revoked"], a["connected"], a["seen"]) == ("site-a", OURS, "", None, "")
    assert b["revoked"]
    table = typed("sites", home.folder)
    assert "2 sites" in table
    assert "revoked" in table
    assert f"site-a  {a['fingerprint']}" in table
    shown = typed("admit", home.folder, written(tmp_path, "site-a", 1, counts={"train-studies": 1200}))
    assert "what it says of its data now is taken over" in shown
    assert "1,200" in typed("sites", home.folder)
