"""A running run's page: every half minute at most, by a process of its own, and right at the end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from server import live_page
from server.live_page import LivePage
from tests.server.test_report import run_metrics, write_run


class Machine:
    """Seconds that pass when a test says so; when the page was drawn, by a process and by the run itself."""

    def __init__(self, page_takes_s: float) -> None:
        self.now_s, self.meanwhile, self.at_end = 1000.0, list[float](), list[float]()
        self._page_takes_s = page_takes_s

    def monotonic(self) -> float:
        return self.now_s

    def draw(self, _: Path) -> None:
        self.at_end.append(self.now_s)

    def Popen(self, command: list[str | Path], env: Mapping[str, str]) -> Self:
        self.meanwhile.append(self.now_s)
        return self

    def poll(self) -> int | None:
        return None if self.now_s < self.meanwhile[-1] + self._page_takes_s else 0

    def wait(self) -> None:
        self.now_s = max(self.now_s, self.meanwhile[-1] + self._page_takes_s)


def lived(monkeypatch: pytest.MonkeyPatch, rounds: int, round_s: float, page_takes_s: float = 2.0) -> Machine:
    """A run, to its end."""
    machine = Machine(page_takes_s)
    monkeypatch.setattr(live_page, "time", machine)
    monkeypatch.setattr(live_page, "subprocess", machine)
    monkeypatch.setattr(live_page, "_draw", machine.draw)
    page = LivePage(Path())
    for _ in range(rounds):
        machine.now_s += round_s
        page.changed()
    page.close()
    page.close()
    return machine


def test_short_rounds_have_a_page_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = lived(monkeypatch, rounds=100, round_s=1)
    assert machine.meanwhile == [1030, 1060, 1090]
    assert machine.at_end == [1100]


def test_long_rounds_have_a_page_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lived(monkeypatch, rounds=3, round_s=60).meanwhile == [1060, 1120, 1180]


def test_a_page_is_drawn_by_one_process_at_a_time_and_the_last_one_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = lived(monkeypatch, rounds=5, round_s=40, page_takes_s=70)
    assert machine.meanwhile == [1040, 1120, 1200]
    assert machine.at_end == [1270]


def test_a_run_shorter_than_that_has_its_page_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = lived(monkeypatch, rounds=5, round_s=1)
    assert (machine.meanwhile, machine.at_end) == ([], [1005])


def test_the_process_draws_what_the_run_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_page, "_EVERY_S", 0.0)
    folder = write_run(tmp_path, run_metrics())
    page = LivePage(folder)
    page.changed()
    process: Any = page._drawing
    process.wait()
    meanwhile = (folder / "report.html").read_bytes()
    page.close()
    assert (folder / "report.html").read_bytes() == meanwhile
    assert process.returncode == 0
