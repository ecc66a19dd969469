"""What the commands write is for its owner alone, however open a machine's usual files are."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

from simulation.phantom import PhantomSettings, write_federation
from tests.security.secrets import open_to_others, spellings

BIN = Path(sys.executable).parent


def command(*words: str) -> None:
    done = subprocess.run([str(BIN / words[0]), *words[1:]], capture_output=True, text=True, umask=0o022)
    assert done.returncode in (0, 1), done.stderr  # 1: data that are not ready yet


def test_what_a_hospitals_commands_write_is_for_their_owner_alone(tmp_path: Path) -> None:
    drawn = PhantomSettings(hospitals=1, studies=6, slices=8, matrix=64, seed=5)
    (there,) = write_federation(tmp_path / "drawn", drawn, 1, lambda: None)
    site = tmp_path / "site-a"
    command("bloodnet-client", "init", str(site), "--dicom", str(there / "dicom"))
    assert not open_to_others(site)
    shutil.copy(there / "labels.csv", site / "labels.csv")
    command("bloodnet-client", "index", str(site))
    assert list((site / ".bloodnet").glob("prepared-*"))
    assert not open_to_others(site)
    assert not open_to_others(site / ".bloodnet")  # also where the site's folder was open before
    assert stat.S_IMODE((site / "node.key").stat().st_mode) == 0o600


def test_what_a_coordinators_commands_write_is_for_their_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "fl"
    command("bloodnet-server", "init", str(home), "--host", "fl.example.org")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home, *home.iterdir()) if path.is_dir()] == [0o700] * 6
    for key in ("ca.key", "server.key"):
        assert stat.S_IMODE((home / "keys" / key).stat().st_mode) == 0o600
        assert all(len(spelling) >= 16 for spelling in spellings(home / "keys" / key))


def test_an_open_folder_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o755)
    (tmp_path / "a" / "b").write_text("")
    (tmp_path / "a" / "b").chmod(0o640)
    assert [line.rpartition(" ")[2] for line in open_to_others(tmp_path / "a")] == ["755", "640"]
    (tmp_path / "a").chmod(0o700)
    assert not open_to_others(tmp_path / "a")
