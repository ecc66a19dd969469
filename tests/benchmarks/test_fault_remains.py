"""What a measurement of faults has started ends with it, whoever its parents were, and how often Ctrl-C is pressed."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.processes import lives, wait_until

MEASUREMENT = """
import subprocess, sys, time
from benchmarks.faults.remains import end_when_told, nothing_remains

end_when_told()
with nothing_remains():
    try:
        parent = subprocess.Popen(["sh", "-c", "setsid sleep 600 & echo $! $$; kill -9 $$"], stdout=subprocess.PIPE)
        print(parent.stdout.readline().decode(), end="", flush=True)
        time.sleep(600)
    finally:
        print("ending", flush=True)
        time.sleep(1)
        print("put away", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_lost_its_parent_ends_with_the_measurement(number: signal.Signals) -> None:
    command, root = [sys.executable, "-c", MEASUREMENT], Path(__file__).parent.parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as measurement:
        assert measurement.stdout is not None
        number_of_orphan, parent = map(int, measurement.stdout.readline().split())
        orphan = psutil.Process(number_of_orphan)
        wait_until(lambda: orphan.ppid() != parent)
        measurement.send_signal(number)
        assert measurement.stdout.readline() == "ending\n"
        measurement.send_signal(number)
        assert measurement.stdout.readline() == "put away\n"
        assert measurement.wait(60) == 128 + number
    try:
        assert not lives(orphan)
    finally:
        with suppress(psutil.NoSuchProcess):
            orphan.kill()
