"""The time of federations whose nodes are functions: it passes while the server waits, and not while it works."""

from datetime import UTC, datetime, timedelta

import pytest

_BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
_WHERE_IT_WAITS = ("exchange", "lost_questions", "sites", "training_round")


class ClockOfWaits:
    """`time`, and Flower's `now`: a deadline is over after so many waits, however busy the machine is."""

    def __init__(self) -> None:
        self._slept_s = 0.0

    def sleep(self, seconds: float) -> None:
        self._slept_s += seconds

    def monotonic(self) -> float:
        return self._slept_s

    def now(self) -> datetime:
        return _BEGIN + timedelta(seconds=self._slept_s)

    def time(self) -> float:
        return self.now().timestamp()


@pytest.fixture
def clock_of_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ClockOfWaits()
    for module in (*(f"server.{name}" for name in _WHERE_IT_WAITS), "tests.server.nodes"):
        monkeypatch.setattr(f"{module}.time", clock)
    monkeypatch.setattr("flwr.app.message.message.now", clock.now)  # by which a question's time to live is reckoned
