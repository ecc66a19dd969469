"""The local engine where it could go wrong: a worker that dies, and answers that nobody asks for."""

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


def roll_call() -> Message:
    question = records.question(records.pack_plan(round_plan(run_settings({}), "r", 0)))
    return Message(question, 1, records.ROLL_CALL)


def test_a_killed_worker_costs_its_message_and_not_the_run(hospital: Path) -> None:
    with LocalGrid([hospital], workers=1) as grid:
        (pending,) = grid.push_messages([roll_call()])
        for child in psutil.Process().children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
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
