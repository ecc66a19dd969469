"""A coordinator's folder, made and made again: what hospitals trust never changes."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from bloodnet_model.errors import BloodNetError, DataError, SettingsError
from server.certificates import AUTHORITY_KEY, SERVER_KEY, issue_server_certificate, shown
from server.cli import app
from server.coordinator.home import CONFIG, LOOPBACK, LOOPBACK_NAME, read_home
from server.coordinator.init import RENEWED_DAYS, initialise
from server.coordinator.proxy import PROXY, ROUTES

NEAR = (LOOPBACK, LOOPBACK_NAME)


def test_a_new_folder_is_private_and_has_all_that_up_needs(tmp_path: Path) -> None:
    home = initialise(tmp_path / "fl", ["fl.example.org", "10.1.2.3"], 8443).home
    assert home == read_home(tmp_path / "fl")
    assert home.settings.port == 8443
    for folder in home.folders:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    for file in (home.folder / CONFIG, home.keys / AUTHORITY_KEY, home.keys / SERVER_KEY):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    certificate = shown(home.certificate)
    assert certificate.hosts == {"fl.example.org", "10.1.2.3", *NEAR}
    assert certificate.days_left(datetime.now(UTC)) in (395, 396)
    proxy = (home.nginx / PROXY).read_text()
    assert "listen 0.0.0.0:8443 ssl;" in proxy
    assert f"^/v1/fleet/({'|'.join(ROUTES)})$" in proxy
    assert str(tmp_path) not in proxy


def test_the_second_time_nothing_changes(tmp_path: Path) -> None:
    first = initialise(tmp_path, ["fl.example.org"], None)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = initialise(tmp_path, [], None)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert again.fingerprint == first.fingerprint
    assert all(line.startswith("kept") for line in again.done)


def test_other_hosts_get_another_certificate_of_the_same_authority(tmp_path: Path) -> None:
    first = initialise(tmp_path, ["fl.example.org"], 8443)
    again = initialise(tmp_path, ["fl2.example.org"], None)
    assert again.fingerprint == first.fingerprint
    assert shown(again.home.certificate).hosts == {"fl2.example.org", *NEAR}
    assert again.home.settings.port == 8443
    assert "the hosts have changed" in again.done[2]


@pytest.mark.parametrize(("days", "renewed"), [(RENEWED_DAYS, True), (RENEWED_DAYS + 2, False)])
def test_a_certificate_is_renewed_when_it_soon_expires(tmp_path: Path, days: int, renewed: bool) -> None:
    home = initialise(tmp_path, ["fl.example.org"], None).home
    issue_server_certificate(home.keys, ["fl.example.org", *NEAR], days)
    done = initialise(tmp_path, [], None).done[2]
    assert done.startswith("renewed" if renewed else "kept")
    assert (shown(home.certificate).days_left(datetime.now(UTC)) > 300) is renewed


def test_a_lost_authority_is_not_replaced(tmp_path: Path) -> None:
    home = initialise(tmp_path, ["fl.example.org"], None).home
    home.authority.unlink()
    with pytest.raises(DataError, match="bring it back from a backup"):
        initialise(tmp_path, [], None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "fl example"], "is no host name"),
        (["--host", "https://fl.example.org"], "is no host name"),
        ([], "--host is missing"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(tmp_path: Path, words: list[str], told: str) -> None:
    found = CliRunner().invoke(app, ["init", str(tmp_path / "new"), *words])
    assert isinstance(found.exception, SettingsError)
    assert told in str(found.exception)
    assert "\n" not in str(found.exception)
    assert not (tmp_path / "new").exists()


def test_the_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(BloodNetError, match="holds something else"):
            initialise(folder, ["fl.example.org"], None)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"hosts": []}, {"port": 70000}, {"listen": ["0.0.0.0; evil"]}, {"hots": ["a"]}])
def test_wrong_settings_are_said_with_their_place(tmp_path: Path, wrong: dict[str, object]) -> None:
    initialise(tmp_path, ["fl.example.org"], None)
    settings = yaml.safe_load((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(yaml.safe_dump(settings | wrong))
    with pytest.raises(SettingsError, match=f"coordinator.yaml.*{next(iter(wrong))}"):
        read_home(tmp_path)


def test_init_says_what_to_do_next(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["init", str(tmp_path / "fl"), "--host", "fl.example.org"])
    assert found.exit_code == 0
    assert shown(tmp_path / "fl" / "keys" / "ca.crt").fingerprint in found.stdout
    assert "bloodnet-server up" in found.stdout
