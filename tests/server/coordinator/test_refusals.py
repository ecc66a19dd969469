"""Who was turned away at the door: as nginx writes it down, and as `status` says it."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.coordinator.home import Home
from server.coordinator.init import initialise
from server.coordinator.proxy import REFUSED
from server.coordinator.refusals import LARGEST_BYTES, keep_small, refusals, refusals_sentence

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LINES = """\
2026-01-30T11:00:00+00:00 10.0.0.9 404 "GET /"
2026-01-30T13:00:00+00:00 10.0.0.3 404 "GET /robots.txt"
2026-01-31T11:00:00+00:00 10.0.0.3 401 "POST /v1/fleet/activate-node"
half a line
2026-01-31T12:58:00+01:00 10.0.0.4 404 "POST /v1/control/list-nodes"
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return initialise(tmp_path / "fl", ["fl.example.org"], None).home


WAITS = "import signal, sys; signal.signal(signal.SIGHUP, lambda *_: sys.exit(7)); print(flush=True); signal.pause()"
"""Of somebody who is told by SIGHUP, also where a shell has that ignored."""


def test_a_day_of_refusals_in_one_line(home: Home) -> None:
    assert refusals_sentence(refusals(home, NOW), NOW) == ""
    (home.nginx / REFUSED).write_text(LINES)
    assert refusals_sentence(refusals(home, NOW), NOW) == (
        "Turned away at the door within a day: 3 requests (2 another route, 1 a key that is not admitted) "
        "from 2 addresses; the last 10.0.0.4 at 11:58."
    )


def test_what_was_put_aside_still_counts_and_no_more_than_two_logs_are_kept(home: Home) -> None:
    log = home.nginx / REFUSED
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE) as nginx:
        assert nginx.stdout is not None
        nginx.stdout.readline()  # it listens
        log.write_text(LINES)
        keep_small(home, nginx)
        assert (nginx.poll(), log.exists()) == (None, True)
        log.write_text(LINES + "x" * LARGEST_BYTES)
        keep_small(home, nginx)
        assert nginx.wait(30) == 7
    log.write_text(LINES)
    assert refusals(home, NOW).by_status == {"404": 4, "401": 2}
    assert len(list(home.nginx.glob(f"{REFUSED}*"))) == 2
