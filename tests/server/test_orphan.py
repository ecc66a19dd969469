"""A process that ends with its parent, though its main thread is stuck, and the parent is a zombie."""

import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent.parent
PARENT = """
import os, subprocess, sys, time
numbered = [word.replace("OWN", str(os.getpid())) for word in sys.argv[2:]]
subprocess.Popen([sys.executable, "-c", sys.argv[1], *numbered])
time.sleep(600)
"""
CHILD = """
import os, time
from server.orphan import end_with_parent
end_with_parent(grace_s=0.0)
print(os.getpid(), flush=True)
time.sleep({seconds})
print("went on")
"""


def parent_of(seconds: int, *arguments: str) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A process, and the child that it has started; both write to the first one's output."""
    command = [sys.executable, "-c", PARENT, CHILD.format(seconds=seconds), *arguments]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    return parent, psutil.Process(int(parent.stdout.readline()))


def test_a_process_ends_with_a_parent_that_nobody_has_waited_for() -> None:
    parent, child = parent_of(600, "--parent-pid", "OWN")
    parent.kill()
    child.wait(60)
    assert psutil.Process(parent.pid).status() == psutil.STATUS_ZOMBIE
    assert parent.communicate()[0] == ""


def test_a_process_that_was_told_of_no_parent_outlives_it() -> None:
    parent, _ = parent_of(5)
    parent.kill()
    assert parent.communicate()[0] == "went on\n"
