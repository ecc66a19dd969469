"""Nothing leaves without a line, and a line stays as it was written."""

import json
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict

from bloodnet_model.chained_log import ChainedLog
from bloodnet_model.errors import DataError
from client import egress
from client.audit import audit, totals
from client.egress import END, LOG, Asked, Departure, clipped, depart, trained_s, write_down
from client.site_settings import Policy, Site, SiteSettings
from strategies import records
from strategies.records import Update

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
BEFORE = np.array([1.0, -2.0, 0.5], np.float32)
MOVED = np.array([4.0, 2.0, 0.5], np.float32)  # by 3 and 4, which is 5


def site_in(folder: Path, **policy: object) -> Site:
    return Site(folder, SiteSettings(name="a", dicom=("d",), policy=Policy.model_validate(policy)))


def line(number: int = 1, **other: object) -> Departure:
    usual = {"time": NOW.isoformat(), "run": "r", "round": number, "kind": "train", "code": "ok", "bytes": 10}
    return Departure(**{**usual, "sha256": "0", "norm": 1.0, "clipped": None, "seconds": 60.0, **other})  # type: ignore[arg-type]


def filled(folder: Path, count: int = 5) -> Path:
    for number in range(1, count + 1):
        write_down(folder, line(number))
    return folder / LOG


def asked() -> RecordDict:
    return RecordDict({records.ARRAYS: records.pack_weights(BEFORE)})


def update(weights: np.ndarray = MOVED) -> RecordDict:
    return records.pack_update(Update(weights, 3, 2, (1.0, 1.0, 1.0, 1.0), 9.0, 1))


def test_an_update_leaves_with_its_line(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    answer = depart(site, Asked("train", "r", 4), asked(), update(), 61.0, NOW)
    (noted,) = audit(site.kept).lines
    assert (noted.time, noted.run, noted.round, noted.kind) == ("2026-11-25T12:00:00+00:00", "r", 4, "train")
    assert (noted.code, noted.norm, noted.clipped, noted.seconds) == ("ok", 5.0, None, 61.0)
    assert noted.sha256 == update().object_id == answer.object_id
    assert noted.bytes > 3 * 4


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    site, other = site_in(tmp_path), update(MOVED + np.float32(1e-6))
    for answer in (update(), other):
        depart(site, Asked("train", "r", 1), asked(), answer, 1.0, NOW)
    first, second = audit(site.kept).lines
    assert first.sha256 != second.sha256


def test_a_refusal_leaves_with_its_code(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    depart(site, Asked("evaluate", "", 0), RecordDict(), records.refusal("no-studies"), 0.1, NOW)
    (noted,) = audit(site.kept).lines
    assert (noted.kind, noted.code, noted.norm) == ("evaluate", "no-studies", None)


@pytest.mark.parametrize(("most", "norm"), [(None, 5.0), (6.0, 5.0), (5.0, 5.0), (2.5, 2.5), (1e-3, 1e-3)])
def test_an_update_goes_no_further_than_its_clip_norm(most: float | None, norm: float) -> None:
    answer, told, before = clipped(asked(), update(), most)
    weights = records.unpack_update(answer).weights[:].astype(np.float64)
    assert np.linalg.norm(weights - BEFORE) == pytest.approx(norm, rel=1e-4)
    assert told == pytest.approx(norm, rel=1e-4)
    assert before == (None if most is None or most >= 5 else 5.0)
    direction = (weights - BEFORE) / norm
    np.testing.assert_allclose(direction, [0.6, 0.8, 0.0], atol=1e-3)
    assert records.unpack_update(answer).losses == records.unpack_update(update()).losses


def test_a_clipped_update_is_said_to_be(tmp_path: Path) -> None:
    site = site_in(tmp_path, clip_norm=2.5)
    answer = depart(site, Asked("train", "r", 1), asked(), update(), 1.0, NOW)
    (noted,) = audit(site.kept).lines
    assert (noted.norm, noted.clipped, noted.sha256) == (2.5, 5.0, answer.object_id)
    assert answer.object_id != update().object_id


def test_an_update_that_is_not_finite_has_a_line_that_json_can_hold(tmp_path: Path) -> None:
    site = site_in(tmp_path, clip_norm=1.0)
    depart(site, Asked("train", "r", 1), asked(), update(np.array([np.nan, 0, 0], np.float32)), 1.0, NOW)
    assert audit(site.kept).lines[0].norm is None
    assert "NaN" not in (site.kept / LOG).read_text()


def test_a_runs_name_of_any_length_is_cut(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    depart(site, Asked("train", "r" * 10**6, 1), asked(), update(), 1.0, NOW)
    assert (site.kept / LOG).stat().st_size < 1000


def test_what_cannot_be_written_down_does_not_leave(tmp_path: Path) -> None:
    (tmp_path / ".bloodnet").write_text("in the way")
    with pytest.raises(DataError, match="cannot be made"):
        depart(site_in(tmp_path), Asked("train", "r", 1), asked(), update(), 1.0, NOW)


def test_an_intact_log_is_said_to_be(tmp_path: Path) -> None:
    filled(tmp_path)
    found = audit(tmp_path)
    assert found.fault == ""
    assert [each.round for each in found.lines] == [1, 2, 3, 4, 5]
    assert totals(found.lines) == {"answers": 5, "given": 5, "refused": 0, "updates": 5, "bytes": 50}
    assert found.to_json()["lines"][0] == asdict(line(1))


def test_no_log_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing has left"):
        audit(tmp_path)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_an_edited_line_is_named_and_nothing_more_leaves_if_it_is_the_last(tmp_path: Path, number: int) -> None:
    path = filled(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace('"bytes": 10', '"bytes": 11')
    path.write_text("".join(lines))
    found = audit(tmp_path)
    assert f"line {number}: was changed" in found.fault
    assert len(found.lines) == number - 1
    if number == 5:
        with pytest.raises(DataError, match="line 5"):
            write_down(tmp_path, line(6))


def test_a_line_left_out_is_named(tmp_path: Path) -> None:
    path = filled(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], *lines[3:]]))
    assert "line 3: was changed or does not follow" in audit(tmp_path).fault


@pytest.mark.parametrize("left", [0, 1, 3, 4])
def test_lines_taken_off_the_end_are_named_and_nothing_more_leaves(tmp_path: Path, left: int) -> None:
    path = filled(tmp_path)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:left]))
    assert f"lines {left + 1} to 5 were taken off the end" in audit(tmp_path).fault
    with pytest.raises(DataError, match="does not end as it was left"):
        write_down(tmp_path, line(6))


def test_a_log_that_has_gone_whole_is_named(tmp_path: Path) -> None:
    filled(tmp_path).unlink()
    assert "lines 1 to 5 were taken off the end" in audit(tmp_path).fault
    with pytest.raises(DataError, match="does not end as it was left"):
        write_down(tmp_path, line(6))


def test_a_log_whose_end_has_gone_is_named(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / END).unlink()
    assert "knows of 0 lines, and there are 5" in audit(tmp_path).fault
    with pytest.raises(DataError, match="does not end as it was left"):
        write_down(tmp_path, line(6))


@pytest.mark.parametrize("text", ["", "{}", '{"lines": "x", "digest": ""}', "[1]"])
def test_an_end_that_says_nothing_is_named(tmp_path: Path, text: str) -> None:
    filled(tmp_path)
    (tmp_path / END).write_text(text)
    assert "cannot be read" in audit(tmp_path).fault
    with pytest.raises(DataError, match="does not say where the log ends"):
        write_down(tmp_path, line(6))


def test_a_log_written_anew_with_as_many_lines_is_named(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.unlink()
    log = ChainedLog.begin(path)
    for number in range(1, 6):
        log.append(asdict(line(number, bytes=1)))
    assert "knows another line 5" in audit(tmp_path).fault


def test_a_log_written_anew_with_its_end_shows_in_a_noted_digest_alone(tmp_path: Path) -> None:
    path = filled(tmp_path)
    noted = audit(tmp_path).digest
    path.unlink()
    (tmp_path / END).unlink()
    for number in range(1, 7):
        write_down(tmp_path, line(number, bytes=1))
    assert audit(tmp_path).fault == ""
    assert f"no line has the digest {noted}" in audit(tmp_path, noted).fault


def test_a_noted_digest_stays_as_the_log_grows(tmp_path: Path) -> None:
    filled(tmp_path)
    noted = audit(tmp_path).digest
    write_down(tmp_path, line(6))
    assert audit(tmp_path, noted).fault == ""


@pytest.mark.parametrize("written", [1, 5])
def test_a_writer_that_was_stopped_before_it_told_the_end(tmp_path: Path, written: int) -> None:
    """The line stands in the log, the file of the end does not know it: it is gone on from."""
    path = filled(tmp_path, written)
    end = (tmp_path / END).read_text()
    write_down(tmp_path, line(6))
    (tmp_path / END).write_text(end)
    assert audit(tmp_path).fault == ""
    write_down(tmp_path, line(7))
    assert [each.round for each in audit(tmp_path).lines][-2:] == [6, 7]
    path.write_bytes(path.read_bytes() + b'{"time": "half a li')
    assert audit(tmp_path).fault == ""
    write_down(tmp_path, line(8))
    assert audit(tmp_path).fault == ""
    assert json.loads((tmp_path / END).read_text())["lines"] == written + 3


def test_a_disk_with_room_for_a_line_and_none_for_the_end_is_gone_on_from_when_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _: object) -> None:
        raise DataError(f"{path}: cannot be written (No space left on device); make room for it.")

    filled(tmp_path)
    with monkeypatch.context() as disk:
        disk.setattr(egress, "write_whole", full)
        for number in (6, 7, 8):
            with pytest.raises(DataError, match="No space left"):
                write_down(tmp_path, line(number))
    assert audit(tmp_path).fault == ""
    write_down(tmp_path, line(9))
    found = audit(tmp_path)
    assert (found.fault, [each.round for each in found.lines][-2:]) == ("", [6, 9])


def test_two_processes_do_not_tear_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from client.egress import Departure, write_down\n"
        "folder, run = Path(sys.argv[1]), sys.argv[2]\n"
        "for number in range(25):\n"
        "    write_down(folder, Departure('t', run, number, 'train', 'ok', 1, '0', None, None, 0.0))\n"
    )
    commands = [[sys.executable, "-c", script, str(tmp_path), name] for name in ("a", "b")]
    started = [subprocess.Popen(command) for command in commands]
    assert [process.wait() for process in started] == [0, 0]
    found = audit(tmp_path)
    assert (found.fault, len(found.lines)) == ("", 50)
    assert [each.round for each in found.lines if each.run == "b"] == list(range(25))


def test_hours_are_those_of_the_trainings_of_a_day(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    assert trained_s(site, NOW) == 0
    for hours, kind, seconds in ((25, "train", 1), (23, "train", 10), (2, "evaluate", 100), (1, "train", 1000)):
        write_down(site.kept, line(time=(NOW - timedelta(hours=hours)).isoformat(), kind=kind, seconds=float(seconds)))
    assert trained_s(site, NOW) == 1010
