"""The local engine where it could go wrong: a worker that dies, and answers that nobody asks for."""

import os
import time
from pathlib import Path

import psutil
import pytest
from flwr.app import Message

from server.federation import round_plan
from server.settings import run_settings
from simulation.engines.local import LocalGrid
from simulation.phantom import PhantomSettings, write_federation
from strategies import records


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "hospitals"
    (site,) = write_federation(folder, PhantomSettings(hospitals=1, studies=4, slices=8, matrix=64), 1, lambda: None)
    return site


def roll_call(node: int = 1) -> Message:
    question = records.question(records.pack_plan(round_plan(run_settings({}), "r", 0)))
    return Message(question, node, records.ROLL_CALL)


def workers() -> list[psutil.Process]:
    """Copies of the process that this one has started for them."""
    return [child for child in psutil.Process().children(recursive=True) if child.ppid() != os.getpid()]


def test_a_killed_worker_costs_its_message_and_not_the_run(hospital: Path) -> None:
    with LocalGrid([hospital], workers=1) as grid:
        (pending,) = grid.push_messages([roll_call()])
        while not (found := workers()):
            time.sleep(0.01)
        for worker in found:
            worker.kill()
        deadline = time.monotonic() + 60
        while not (replies := grid.pull_messages([pending])) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert replies[0].has_error()
        assert replies[0].metadata.reply_to_message_id == pending
        (answer,) = grid.send_and_receive([roll_call()], timeout=60)
        assert records.unpack_site_info(answer.content).name == "hospital-1"


def test_an_unknown_message_is_nobodys(hospital: Path) -> None:
    with LocalGrid([hospital], workers=1) as grid:
        assert grid.get_node_ids() == [1]
        assert grid.pull_messages(["never-sent"]) == []


def test_no_more_is_asked_for_than_keeps_the_workers_busy(hospital: Path) -> None:
    with LocalGrid([hospital] * 12, workers=1) as grid:
        ids = grid.push_messages([roll_call(node) for node in range(1, 13)])
        most = 0
        replies: list[Message] = []
        while len(replies) < 12:
            replies += (pulled := grid.pull_messages(ids))
            most = max(most, len(pulled))
            time.sleep(0.3)
        assert 1 <= most <= 2
        assert sorted(reply.metadata.src_node_id for reply in replies) == list(range(1, 13))


def test_what_nobody_waits_for_any_more_is_not_asked(hospital: Path) -> None:
    with LocalGrid([hospital] * 6, workers=1) as grid:
        stale = [roll_call(node) for node in range(1, 7)]
        for message in stale:
            message.metadata.ttl = 0.01
        ids = grid.push_messages(stale)
        time.sleep(0.1)
        (answer,) = grid.send_and_receive([roll_call(6)], timeout=60)
        assert answer.metadata.src_node_id == 6
        assert grid.pull_messages(ids) == []
