"""The bundle of the installation is the one that Flower's own command makes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from strategies.bundle import app_bundle

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_it_is_what_flwr_build_makes(tmp_path: Path) -> None:
    quiet = {"FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_TELEMETRY_ENABLED": "0", "FLWR_HOME": str(tmp_path / "home")}
    flwr = Path(sys.executable).parent / "flwr"
    subprocess.run(
        [flwr, "build", "--app", ROOT], cwd=tmp_path, env=os.environ | quiet, check=True, capture_output=True
    )
    assert app_bundle() == next(tmp_path.glob("*.fab")).read_bytes()


def test_the_same_files_make_the_same_bytes() -> None:
    assert app_bundle() == app_bundle()
