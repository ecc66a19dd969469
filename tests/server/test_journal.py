"""The journal of a run, whole and damaged."""

import json
from pathlib import Path

import numpy as np
import pytest

from bloodnet_model.errors import DataError
from server.journal import Aggregate, Journal
from strategies.records import Update

SETTINGS = {"rounds": 3, "model": {"widths": (8, 16)}}


def update(value: float) -> Update:
    return Update(np.full(4, value, np.float32), 10, 5, (1.0, 0.5, 0.3, 0.2), 2.5)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """One round is over; in the second, one update is accepted."""
    journal = Journal.begin(tmp_path, "abc", SETTINGS, np.zeros(4, np.float32), "from there")
    for site, value in (("a", 1.0), ("b", 3.0)):
        journal.accept(1, site, update(value))
    journal.aggregated(1, Aggregate(np.full(4, 2, np.float32), {"momentum": np.full(4, 0.1)}, {"c": "late"}, 7.5))
    journal.over(1, {"round": 1}, keep_updates=False)
    journal.accept(2, "b", update(5.0))
    return tmp_path


def log(run: Path) -> Path:
    return run / "journal" / "log.jsonl"


def test_what_was_written_is_there_after_a_stop(run: Path) -> None:
    journal = Journal.reopen(run, SETTINGS)
    assert (journal.run, journal.start, journal.lines) == ("abc", "from there", [{"round": 1}])
    assert journal.aggregated_rounds == 1
    end = journal.aggregate(1)
    assert end.weights.tolist() == [2.0] * 4
    assert end.memory["momentum"].tolist() == [0.1] * 4
    assert (end.refused, end.seconds) == ({"c": "late"}, 7.5)
    assert journal.aggregate(0).weights.tolist() == [0.0] * 4
    (kept,) = journal.accepted(2).items()
    assert kept[0] == "b"
    assert kept[1].weights.tolist() == [5.0] * 4
    assert (kept[1].studies, kept[1].steps, kept[1].losses, kept[1].seconds) == (10, 5, (1.0, 0.5, 0.3, 0.2), 2.5)


def test_updates_of_a_finished_round_go_unless_they_are_to_be_kept(run: Path) -> None:
    files = {path.name for path in (run / "journal").iterdir()}
    assert files == {"log.jsonl", "round-0.safetensors", "round-1.safetensors", "round-2-b.safetensors"}
    journal = Journal.reopen(run, SETTINGS)
    for number in (2, 3, 4):
        journal.accept(number, "a", update(number))
        journal.aggregated(number, Aggregate(np.zeros(4, np.float32), {}, {}, 1.0))
        journal.over(number, {"round": number}, keep_updates=number == 3)
    left = {path.name for path in (run / "journal").iterdir()} - {"log.jsonl"}
    assert left == {"round-0.safetensors", "round-3.safetensors", "round-3-a.safetensors", "round-4.safetensors"}


@pytest.mark.parametrize("cut", [1, 30])
def test_a_line_that_was_half_written_never_counted(run: Path, cut: int) -> None:
    log(run).write_bytes(log(run).read_bytes()[:-cut])
    journal = Journal.reopen(run, SETTINGS)
    assert not journal.accepted(2)
    assert journal.lines == [{"round": 1}]
    journal.accept(2, "a", update(1.0))
    assert set(Journal.reopen(run, SETTINGS).accepted(2)) == {"a"}


def test_a_changed_line_is_named_with_the_last_good_round(run: Path) -> None:
    lines = log(run).read_text().splitlines(keepends=True)
    whole = "".join(lines)
    log(run).write_text(whole.replace('"site": "b", "file": "round-2', '"site": "x", "file": "round-2'))
    with pytest.raises(DataError, match=r"log\.jsonl, line 7: was changed .* round 1 and all before"):
        Journal.reopen(run, SETTINGS)
    log(run).write_text(whole.replace('"site": "a"', '"site": "x"'))
    with pytest.raises(DataError, match=r"log\.jsonl, line 3: was changed .* round 0 and all before"):
        Journal.reopen(run, SETTINGS)
    log(run).write_text("".join([*lines[:4], *lines[5:]]))
    with pytest.raises(DataError, match=r"log\.jsonl, line 5: "):
        Journal.reopen(run, SETTINGS)


def test_a_damaged_update_is_asked_for_again_and_damaged_weights_are_said(run: Path) -> None:
    for name in ("round-2-b", "round-1"):
        path = run / "journal" / f"{name}.safetensors"
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
    journal = Journal.reopen(run, SETTINGS)
    assert not journal.accepted(2)
    with pytest.raises(DataError, match=r"round-1\.safetensors: is damaged or not there"):
        journal.aggregate(1)


def test_other_settings_are_named(run: Path) -> None:
    with pytest.raises(DataError, match=r"other settings \(rounds, seed\)"):
        Journal.reopen(run, {**SETTINGS, "rounds": 4, "seed": 1})


def test_what_is_no_journal_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"log\.jsonl: there is no such file"):
        Journal.reopen(tmp_path, SETTINGS)
    (tmp_path / "journal").mkdir()
    log(tmp_path).write_text(json.dumps({"event": "other"}) + "\n")
    with pytest.raises(DataError, match="line 1: was changed"):
        Journal.reopen(tmp_path, SETTINGS)
    log(tmp_path).write_text("")
    with pytest.raises(DataError, match="does not begin as a run's journal does"):
        Journal.reopen(tmp_path, SETTINGS)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_stops_the_run_and_can_be_gone_on_from(run: Path) -> None:
    content = log(run).read_bytes()
    journal = Journal.reopen(run, SETTINGS)
    log(run).unlink()
    log(run).symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\).*can be resumed"):
        journal.accept(2, "a", update(1.0))
    log(run).unlink()
    log(run).write_bytes(content)
    assert set(Journal.reopen(run, SETTINGS).accepted(2)) == {"b"}
