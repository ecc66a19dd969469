"""A program that is kept running, as a service manager does it."""

from pathlib import Path

import psutil
import pytest

from benchmarks.faults.service import Service
from tests.processes import lives, wait_until


def test_what_ends_is_started_again_until_it_is_told_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.faults.service.RESTART_S", 0.0)
    log = tmp_path / "log"
    service = Service(["sh", "-c", "echo here; exec sleep 600"], log)
    service.start()
    wait_until(lambda: log.read_text() == "here\n")
    first = psutil.Process(service.pid)
    first.kill()
    wait_until(lambda: log.read_text() == "here\nhere\n")
    assert service.restarts == 1
    second = psutil.Process(service.pid)
    assert second != first
    service.stop()
    assert not lives(second)
    assert service.restarts == 1
