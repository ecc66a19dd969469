"""The two apps are real Flower apps: `flwr build` bundles them, `flwr run` runs them in Flower's own simulation."""

import json
import os
import socket
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.app import FROM_ROUND, OUT, RESUME
from server.settings import RunSettings
from simulation.phantom import PhantomSettings, write_federation

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
ROOMS = {"bloodnet_model", "strategies", "client", "server"}


@pytest.fixture
def flower(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of a SuperLink of Flower's simulation kind, on ports of its own, with two hospitals."""
    hospitals = tmp_path / "hospitals"
    write_federation(hospitals, PhantomSettings(hospitals=2, studies=10, slices=8, matrix=64), 1, lambda: None)
    home, port, control = tmp_path / "flower", _free_port(), _free_port()
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "test"\n\n[superlink.test]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
        "\n[superlink.test.options]\nnum-supernodes = 2\n"
        "\n[superlink.test.options.backend.client-resources]\nnum-cpus = 1\n"
    )
    env = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "BLOODNET_SITES": str(hospitals),
    }
    command = ["flower-superlink", "--insecure", "--simulation", "--isolation", "subprocess", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--control-api-address", f"127.0.0.1:{control}"]
    command += ["--disable-runtime-dependency-installation"]
    log = (tmp_path / "superlink.log").open("w")
    process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait_for(port)
        yield env
    finally:
        process.terminate()
        process.wait(30)
        log.close()
        print((tmp_path / "superlink.log").read_text()[-6000:])


def test_the_bundle_holds_the_four_rooms_and_nothing_else(tmp_path: Path) -> None:
    bundle = _build(tmp_path)
    names = zipfile.ZipFile(bundle).namelist()
    assert {name.split("/")[0] for name in names if "/" in name and not name.startswith(".")} == ROOMS
    assert {name for name in names if "/" not in name} == {"pyproject.toml", "LICENSE"}
    files = {str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert files <= set(names)  # Flower leaves out what it takes for tests, such as server/final_test.py


def test_every_setting_may_be_given_to_flwr_run() -> None:
    """Flower refuses keys that its configuration does not name."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    assert set(known) == {key.replace("_", "-") for key in {*RunSettings.model_fields, OUT, RESUME, FROM_ROUND}}


@pytest.mark.slow
def test_two_rounds_in_flowers_own_simulation(flower: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    compared = "{alone: true, compare_with: [first]}"
    config = f'out="{out}" rounds=2 local-epochs=1 evaluation="{compared}"'
    command = ["flwr", "run", str(ROOT), "test", "--stream", "--run-config", config]
    shown = subprocess.run(command, env=flower, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert (out / "metrics.json").exists(), shown.stdout[-4000:] + shown.stderr[-2000:]
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics["sites"]) == {"hospital-1", "hospital-2"}
    assert len(metrics["rounds"]) == 2
    assert all(site["status"] == "ok" for line in metrics["rounds"] for site in line["sites"].values())
    assert metrics["test"] is not None
    assert next(entry["second"] for entry in metrics["comparisons"]) == "first"
    assert list(metrics["cross_site"]["rows"]) == ["federated", "hospital-1 alone", "hospital-2 alone"]
    assert (out / "model.safetensors").exists()


def _build(folder: Path) -> Path:
    """`flwr build` writes beside itself: run it in a folder of its own, on the project."""
    quiet = {"FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_TELEMETRY_ENABLED": "0"}
    env = os.environ | quiet | {"FLWR_HOME": str(folder / "home")}
    subprocess.run([BIN / "flwr", "build", "--app", ROOT], cwd=folder, env=env, check=True, capture_output=True)
    return next(folder.glob("*.fab"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError("the SuperLink did not open its port")
