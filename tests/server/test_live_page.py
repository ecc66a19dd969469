"""A running run's page: there after the first round, right at the end, and never most of the work."""

from pathlib import Path

import pytest

from server import live_page
from server.live_page import LivePage


class Clock:
    """Seconds that pass while a page is drawn, and when a test says so; what was drawn, by the second."""

    def __init__(self, page_takes_s: float) -> None:
        self.now_s, self.drawn, self._page_takes_s = 1000.0, list[float](), page_takes_s

    def monotonic(self) -> float:
        return self.now_s

    def draw(self, _: Path) -> None:
        self.drawn.append(self.now_s)
        self.now_s += self._page_takes_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(page_takes_s=0.5)
    monkeypatch.setattr(live_page, "time", clock)
    monkeypatch.setattr(live_page, "render_report", clock.draw)
    return clock


def test_it_is_drawn_at_once_and_then_for_a_tenth_of_the_time(clock: Clock, tmp_path: Path) -> None:
    page = LivePage(tmp_path)
    for _ in range(20):  # rounds of a second
        page.changed()
        clock.now_s += 1
    assert clock.drawn[0] == 1000
    assert len(clock.drawn) in (4, 5)
    assert all(later - earlier >= 5 for earlier, later in zip(clock.drawn, clock.drawn[1:], strict=False))


def test_long_rounds_have_a_page_each(clock: Clock, tmp_path: Path) -> None:
    page = LivePage(tmp_path)
    for _ in range(3):
        page.changed()
        clock.now_s += 60
    page.close()
    assert len(clock.drawn) == 3


def test_what_changed_last_is_drawn_at_the_end(clock: Clock, tmp_path: Path) -> None:
    page = LivePage(tmp_path)
    page.changed()
    page.changed()
    assert len(clock.drawn) == 1
    page.close()
    assert len(clock.drawn) == 2
    page.close()
    assert len(clock.drawn) == 2
