"""The journal of a run, whole and damaged."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bloodnet_model.errors import DataError
from server.journal import Accepted, Aggregate, Journal
from strategies.records import Update
from strategies.update_gate import Checked, fingerprint

LINE = {"round": 1}
SETTINGS = {"rounds": 3, "model": {"widths": (8, 16)}}


def update(value: float) -> Update:
    return Update(np.full(4, value, np.float32), 10, 5, (1.0, 0.5, 0.3, 0.2), 2.5, 1, 7)


def checked(update: Update) -> Checked:
    return Checked(update, 0.25, fingerprint(update))


def accept(journal: Journal, number: int, site: str, value: float) -> Accepted:
    return journal.accept(number, site, checked(update(value)), answered_s=3.5)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """One round is over; in the second, one update is accepted."""
    journal = Journal.begin(tmp_path, "abc", SETTINGS, np.zeros(4, np.float32), "from there")
    for site, value in (("a", 1.0), ("b", 3.0)):
        accept(journal, 1, site, value)
    journal.aggregated(1, Aggregate(np.full(4, 2, np.float32), {"momentum": np.full(4, 0.1)}, {"c": "late"}, 7.5))
    journal.over(1, LINE)
    journal.remove_updates(1)
    accept(journal, 2, "b", 5.0)
    return tmp_path


def log(run: Path) -> Path:
    return run / "journal" / "log.jsonl"


def test_what_was_written_is_there_after_a_stop(run: Path) -> None:
    journal = Journal.reopen(run, SETTINGS)
    assert (journal.run, journal.start, list(journal.lines)) == ("abc", "from there", [LINE])
    assert journal.aggregated_rounds == 1
    end = journal.aggregate(1)
    assert end.weights.tolist() == [2.0] * 4
    assert end.memory["momentum"].tolist() == [0.1] * 4
    assert (end.refused, end.seconds) == ({"c": "late"}, 7.5)
    assert journal.aggregate(0).weights.tolist() == [0.0] * 4
    (kept,) = journal.accepted(2).values()
    assert (kept.norm, kept.answered_s) == (0.25, 3.5)
    assert kept.update.weights[:].tolist() == [5.0] * 4
    same = {"weights": None, "control_change": None}
    assert replace(kept.update, **same) == replace(update(5), **same)  # type: ignore[arg-type]


def test_updates_of_a_finished_round_go_unless_they_are_to_be_kept(run: Path) -> None:
    files = {path.name for path in (run / "journal").iterdir()}
    assert files == {"log.jsonl", "round-0.safetensors", "round-1.safetensors", "round-2-b.safetensors"}
    journal = Journal.reopen(run, SETTINGS)
    for number in (2, 3):
        accept(journal, number, "a", number)
        journal.aggregated(number, Aggregate(np.zeros(4, np.float32), {}, {}, 1.0))
        journal.over(number, {"round": number})
    journal.remove_updates(2)
    journal.remove_weights(but={0, 2, 3})
    left = {path.name for path in (run / "journal").iterdir()} - {"log.jsonl"}
    assert left == {"round-0.safetensors", "round-2.safetensors", "round-3.safetensors", "round-3-a.safetensors"}


@pytest.mark.parametrize("cut", [1, 30])
def test_a_line_that_was_half_written_never_counted(run: Path, cut: int) -> None:
    log(run).write_bytes(log(run).read_bytes()[:-cut])
    journal = Journal.reopen(run, SETTINGS)
    assert not journal.accepted(2)
    assert list(journal.lines) == [LINE]
    accept(journal, 2, "a", 1.0)
    assert set(Journal.reopen(run, SETTINGS).accepted(2)) == {"a"}


def test_a_changed_line_is_named_with_the_last_good_round(run: Path) -> None:
    lines = log(run).read_text().splitlines(keepends=True)
    whole = "".join(lines)
    log(run).write_text(whole.replace('"site": "b", "file": "round-2', '"site": "x", "file": "round-2'))
    with pytest.raises(
        DataError,
        match=r"log\.jsonl, line 7: was changed .* Round 1 and all .* with --from-round 1",
    ):
        Journal.reopen(run, SETTINGS)
    log(run).write_text(whole.replace('"site": "a"', '"site": "x"'))
    with pytest.raises(DataError, match=r"log\.jsonl, line 3: was changed .* No round before it is over: begin"):
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
    with pytest.raises(DataError, match=r"round-1\.safetensors: is damaged or no longer kept; .* begin the run anew"):
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
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        accept(journal, 2, "a", 1.0)
    log(run).unlink()
    log(run).write_bytes(content)
    assert set(Journal.reopen(run, SETTINGS).accepted(2)) == {"b"}


def rounds(run: Path, last: int) -> None:
    """Rounds 2 to `last` are over, too."""
    journal = Journal.reopen(run, SETTINGS)
    for number in range(2, last + 1):
        accept(journal, number, "a", number)
        journal.aggregated(number, Aggregate(np.full(4, number, np.float32), {}, {}, 1.0))
        journal.over(number, {"round": number})


def test_a_run_goes_back_to_any_round_that_is_over(run: Path) -> None:
    rounds(run, 4)
    journal = Journal.reopen_at(run, SETTINGS, 2, "def")
    assert (journal.run, journal.aggregated_rounds) == ("def", 2)
    assert [line["round"] for line in journal.lines] == [1, 2]
    assert journal.aggregate(2).weights.tolist() == [2.0] * 4
    assert not journal.accepted(3)
    journal.aggregated(3, Aggregate(np.full(4, 9, np.float32), {}, {}, 1.0))
    again = Journal.reopen(run, SETTINGS)
    assert again.run == "def"
    assert again.aggregate(3).weights.tolist() == [9.0] * 4


def test_a_finished_run_is_not_finished_once_it_has_gone_back(run: Path) -> None:
    rounds(run, 3)
    journal = Journal.reopen(run, SETTINGS)
    assert not journal.is_finished
    journal.finish()
    assert Journal.read(run).is_finished
    assert not Journal.reopen_at(run, SETTINGS, 3, "def").is_finished


def test_looking_changes_nothing_that_is_being_written(run: Path) -> None:
    log(run).write_bytes(half := log(run).read_bytes()[:-30])
    assert [line["round"] for line in Journal.read(run).lines] == [1]
    assert log(run).read_bytes() == half


def test_going_back_to_what_is_not_there_is_refused_with_what_is(run: Path) -> None:
    rounds(run, 3)
    with pytest.raises(DataError, match="round 4 is not over; go on from one of 1 to 3"):
        Journal.reopen_at(run, SETTINGS, 4, "def")
    (run / "journal" / "round-2.safetensors").unlink()
    with pytest.raises(DataError, match=r"round-2.*no longer kept; .* go on from round 1 or 3 with --from-round"):
        Journal.reopen_at(run, SETTINGS, 2, "def")
    assert Journal.reopen(run, SETTINGS).run == "abc"


def test_going_back_leaves_a_damaged_end_behind(run: Path) -> None:
    rounds(run, 3)
    whole = log(run).read_text()
    log(run).write_text(whole.replace('"event": "update", "round": 3', '"event": "update", "round": 9'))
    damaged = log(run).read_bytes()
    with pytest.raises(DataError, match=r"line 12: .* with --from-round 2"):
        Journal.reopen(run, SETTINGS)
    with pytest.raises(DataError, match="line 12"):
        Journal.reopen_at(run, SETTINGS, 3, "def")
    assert log(run).read_bytes() == damaged
    journal = Journal.reopen_at(run, SETTINGS, 2, "def")
    assert [line["round"] for line in journal.lines] == [1, 2]
    assert (run / "journal" / "log.jsonl.damaged").read_bytes() == damaged


def test_what_a_site_sent_in_earlier_rounds_is_known_by_its_fingerprint(run: Path) -> None:
    journal = Journal.reopen(run, SETTINGS)
    assert journal.fingerprints(2) == {site: {fingerprint(update(of))} for site, of in (("a", 1.0), ("b", 3.0))}
    assert journal.fingerprints(1) == {}


def test_a_round_asks_whom_it_was_planned_for(run: Path) -> None:
    journal = Journal.reopen(run, SETTINGS)
    assert journal.planned(2) is None
    journal.plan(2, ["b", "a"])
    assert Journal.reopen(run, SETTINGS).planned(2) == frozenset({"a", "b"})
    journal.aggregated(2, Aggregate(np.zeros(4, np.float32), {}, {}, 1.0))
    journal.over(2, {"round": 2})
    assert Journal.reopen_at(run, SETTINGS, 1, "def").planned(2) is None


def test_a_site_goes_on_from_the_last_round_that_its_update_is_in(run: Path) -> None:
    journal = Journal.reopen(run, SETTINGS)
    assert journal.counted_rounds == {"a": 1, "b": 1}  # what was accepted in round 2 is in no weights yet
    accept(journal, 2, "a", 4.0)
    journal.aggregated(2, Aggregate(np.zeros(4, np.float32), {}, {"b": "norm-unlike-others"}, 1.0))
    assert journal.counted_rounds == {"a": 2, "b": 1}


def test_who_was_refused_in_which_round(run: Path) -> None:
    assert Journal.reopen(run, SETTINGS).outcomes == {1: {"a": "", "b": "", "c": "late"}}


def test_what_a_round_says_of_itself_does_not_stay_in_memory(run: Path) -> None:
    """A line of 40 kB and an update with a note of as many, 20 times."""
    journal, much = Journal.reopen(run, SETTINGS), 40_000
    told = {"losses": (1.0,) * (much // 8)}
    tracemalloc.start()
    for number in range(2, 22):
        journal.accept(number, "a", checked(replace(update(number), **told)), 3.5)  # type: ignore[arg-type]
        journal.aggregated(number, Aggregate(np.zeros(4, np.float32), {}, {}, 1.0))
        journal.over(number, {"round": number, "said": "x" * much + str(number)})
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < much
    assert [line["said"][much:] for line in list(journal.lines)[1:]] == [str(number) for number in range(2, 22)]
    assert list(journal.lines) == list(Journal.reopen(run, SETTINGS).lines)
