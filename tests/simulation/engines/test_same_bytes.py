"""The same model, byte for byte, whatever engine ran it and with however many workers."""

import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import psutil
import pytest

from bloodnet_model.errors import RoundError, SettingsError
from server.run_folder import MODEL, read_metrics
from server.settings import RunSettings, run_settings
from simulation.engines.registry import check_engine, run_with
from tests.conftest import DrawHospitals
from tests.processes import wait_until

ROOT = Path(__file__).parent.parent.parent.parent
SETTINGS = run_settings({"rounds": 2, "local_epochs": 1, "seed": 3, "strategy": "fedadam"})
COMMAND = [sys.executable, "-c", "from simulation.cli import main; main()", "run", "--engine", "loopback"]


@pytest.fixture(scope="module")
def sites(draw_hospitals: DrawHospitals, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("data") / "hospitals"
    return draw_hospitals(folder, 3)


def digest(engine: str, settings: RunSettings, sites: list[Path], out: Path, workers: int) -> str:
    run_with(engine, settings, sites, out, workers)
    assert all(site["status"] == "ok" for line in read_metrics(out)["rounds"] for site in line["sites"].values())
    return sha256((out / MODEL).read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def reference(sites: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest("local", SETTINGS, sites, tmp_path_factory.mktemp("run"), 1)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers(workers: int, sites: list[Path], reference: str, tmp_path: Path) -> None:
    assert digest("local", SETTINGS, sites, tmp_path, workers) == reference


@pytest.mark.slow
def test_flowers_own_simulation(
    sites: list[Path], reference: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ray and Flower say nothing beside what the run says."""
    assert digest("ray", SETTINGS, sites, tmp_path, 2) == reference
    first, second, *rest = (line for line in capfd.readouterr().err.splitlines() if line.strip())
    assert (first.split()[0], second.split()[0]) == ("round", "round")
    assert " ".join(rest).endswith("would do")  # the forecast's sentence


@pytest.mark.slow
def test_a_rehearsal_over_tls_ends_in_the_same_bytes(
    sites: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    short = SETTINGS.model_copy(update={"rounds": 1, "data": {"name": "a rehearsal"}})
    pair = sites[:2]
    rehearsed = digest("loopback", short, pair, tmp_path / "loopback", 1)
    assert "round 1/1  2 of 2 sites" in capfd.readouterr().err
    assert rehearsed == digest("local", short, pair, tmp_path / "local", 1)
    names = {path.name for path in (tmp_path / "local").iterdir()}
    assert {path.name for path in (tmp_path / "loopback").iterdir()} == names
    assert read_metrics(tmp_path / "loopback")["run"]["data"] == "a rehearsal"
    assert not flower_processes()


@pytest.mark.slow
def test_an_error_of_the_app_comes_out_as_its_sentence(sites: list[Path], tmp_path: Path) -> None:
    """The ServerApp itself says it, in a process of its own."""
    nowhere = SETTINGS.model_copy(update={"init_weights": str(tmp_path / "none.safetensors")})
    with pytest.raises(RoundError, match=r"none\.safetensors"):
        run_with("loopback", nowhere, sites[:1], tmp_path / "run", 1)
    assert not flower_processes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_rehearsal_that_was_ended(
    number: signal.Signals, sites: list[Path], tmp_path: Path
) -> None:
    arguments = ["--dataset", "folder", "--data", str(sites[0].parent), "--no-central", "--out", str(tmp_path / "run")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    wait_until(lambda: "flower-supernode" in flower_processes() or process.poll() is not None)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(60) != 0
    wait_until(lambda: not flower_processes())
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


def flower_processes() -> set[str]:
    """Flower's commands that a rehearsal has started, whoever their parent is now."""
    found = set()
    for process in psutil.process_iter():
        try:
            if Path(process.environ().get("FLWR_HOME", "")).parent.name.startswith("bloodnet-"):
                found |= {word.rpartition("/")[2] for word in process.cmdline() if "flower-" in word or "flwr-" in word}
        except psutil.Error:
            continue
    return found


def test_an_unknown_engine_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="choose among local, ray, loopback"):
        check_engine("docker")


def test_ray_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulation.engines.ray.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install 'bloodnet-federation\[ray\]'"):
        check_engine("ray")
