"""A log whose lines cannot be changed, left out or put in without it being seen."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.chained_log import ChainedLog, DamagedLog, cut_before, latest
from bloodnet_model.errors import DataError

EVENTS = [{"event": f"e{number}", "value": number / 3, "name": "Ä"} for number in range(6)]


def written(folder: Path) -> Path:
    log = ChainedLog.begin(folder / "log.jsonl")
    for event in EVENTS:
        log.append(event)
    return log.path


def test_what_was_written_is_read_and_gone_on_with(tmp_path: Path) -> None:
    log = ChainedLog.reopen(written(tmp_path))
    assert log.events == EVENTS
    log.append({"event": "more"})
    assert ChainedLog.reopen(log.path).events == [*EVENTS, {"event": "more"}]


@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_one_changed_byte_is_seen(place: int, flip: int) -> None:
    """Where it takes the end off the last line, that line is as one that was half written."""
    with TemporaryDirectory() as folder:
        path = written(Path(folder))
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= flip
        path.write_bytes(content)
        if place % len(content) == len(content) - 1:
            assert ChainedLog.reopen(path).events == EVENTS[:-1]
        else:
            with pytest.raises(DamagedLog) as damage:
                ChainedLog.reopen(path)
            assert damage.value.before == EVENTS[: damage.value.line - 1]


def test_another_end_of_a_line_is_seen(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r", 1))
    with pytest.raises(DamagedLog, match="line 1"):
        ChainedLog.reopen(path)


@given(cut=st.integers(0, 10**6))
def test_a_log_cut_off_anywhere_is_its_whole_lines(cut: int) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder))
        content = path.read_bytes()
        kept = content[: cut % (len(content) + 1)]
        path.write_bytes(kept)
        log = ChainedLog.reopen(path)
        assert log.events == EVENTS[: kept.count(b"\n")]
        log.append({"event": "more"})
        assert ChainedLog.reopen(path).events[-1] == {"event": "more"}


@given(order=st.permutations(range(len(EVENTS))), count=st.integers(2, len(EVENTS)))
def test_lines_left_out_put_in_twice_or_moved_are_seen(order: list[int], count: int) -> None:
    chosen = order[:count]
    with TemporaryDirectory() as folder:
        path = written(Path(folder))
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[number] for number in chosen))
        if chosen == list(range(count)):  # nothing but cut off, which a log alone cannot tell
            assert ChainedLog.reopen(path).events == EVENTS[:count]
        else:
            with pytest.raises(DamagedLog):
                ChainedLog.reopen(path)


def test_a_line_of_another_log_is_seen(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "other").mkdir()
    other = ChainedLog.begin(tmp_path / "other" / "log.jsonl")
    other.append({"event": "first"})
    other.append(EVENTS[0])
    foreign = other.path.read_bytes().splitlines(keepends=True)[1]
    path.write_bytes(path.read_bytes() + foreign)
    with pytest.raises(DamagedLog, match="line 7"):
        ChainedLog.reopen(path)


def test_what_comes_before_a_line_can_be_kept_with_the_whole_beside_it(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    cut_before(path, 3)
    assert ChainedLog.reopen(path).events == EVENTS[:2]
    assert path.with_name("log.jsonl.damaged").read_bytes() == content


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        ChainedLog.reopen(tmp_path / "none")


def test_a_fraction_is_kept_to_its_last_bit(tmp_path: Path) -> None:
    log = ChainedLog.begin(tmp_path / "log.jsonl")
    log.append({"seconds": 0.1 + 0.2})
    assert json.loads(log.path.read_text())["seconds"] == 0.1 + 0.2
    assert ChainedLog.reopen(log.path).events == log.events


@given(cut=st.integers(0, 10**6), block=st.integers(1, 300))
def test_a_log_is_gone_on_with_from_its_last_line_alone(cut: int, block: int) -> None:
    """As if all of it had been read, wherever its writer was stopped and wherever the blocks that are read end."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("bloodnet_model.chained_log._BLOCK_BYTES", block)
        path = written(Path(folder))
        content = path.read_bytes()
        kept = content[: cut % (len(content) + 1)]
        path.write_bytes(kept)
        log, lines = ChainedLog.at_end(path), kept.count(b"\n")
        assert log.events == EVENTS[max(0, lines - 1) : lines]
        digests = ["", "", *ChainedLog.read(path).digests]
        assert (log.start, log.digest) == ((digests[-2], digests[-1]) if lines else ("", ""))
        log.append({"event": "more"})
        assert ChainedLog.read(path).events == [*EVENTS[:lines], {"event": "more"}]
        assert list(latest(path)) == [{"event": "more"}, *reversed(EVENTS[:lines])]


@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_a_changed_last_line_is_not_gone_on_with(place: int, flip: int) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder))
        content = bytearray(path.read_bytes())
        last = len(content.splitlines(keepends=True)[-1]) - 1
        content[len(content) - 2 - place % last] ^= flip
        path.write_bytes(content)
        with pytest.raises(DamagedLog, match=r"line [67]"):  # a byte may have become a line's end
            ChainedLog.at_end(path)


def test_reading_a_log_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"half')
    before = path.read_bytes()
    assert ChainedLog.read(path).events == EVENTS
    assert path.read_bytes() == before
