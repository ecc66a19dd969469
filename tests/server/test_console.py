"""What the coordinator's terminal says of a round, and of whom it waits for."""

import io
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from bloodnet_model.run_metrics import Forecast
from server.console import RoundsBar, deadline_text, round_sentence, run_end, waiting_text

CET = timezone(timedelta(hours=1))
NOW = datetime(2026, 11, 25, 14, 0, tzinfo=CET)


def line(statuses: dict[str, str], dice: float | None = 0.58, readmitted: tuple[str, ...] = ()) -> dict[str, Any]:
    sites = {site: {"status": status} for site, status in statuses.items()}
    for entry in sites.values():
        if entry["status"] == "refused":
            entry["reason"] = "no-answer"
    return {
        "round": 12,
        "seconds": 96.2,
        "sites": sites,
        "train_loss": 0.524,
        "validation": {"pooled": {"any": {"auc": 0.8841}}},
        "dice": dice,
        "readmitted": list(readmitted),
    }


def plain(sentence: str) -> str:
    return Text.from_markup(sentence).plain


def test_a_round_in_which_all_took_part() -> None:
    twenty = {f"s{number}": "ok" for number in range(20)}
    said = plain(round_sentence(line(twenty), 50))
    assert said == "round 12/50  20 of 20 sites  loss 0.52  validation AUC 0.884  Dice 0.58  96 s"
    assert len(said) <= 80


@pytest.mark.parametrize(
    ("sites", "who", "trouble"),
    [
        ({"a": "ok", "b": "refused"}, "1 of 2 sites", "lost: no answer from b before the deadline"),
        ({"a": "ok", "b": "not-asked"}, "1 of 1 asked", ""),
        ({"a": "ok", "b": "set-aside"}, "1 of 1 sites", "set aside: b"),
        (
            {"a": "ok", "b": "refused", "c": "not-asked", "d": "set-aside", "e": "set-aside"},
            "1 of 2 asked",
            "lost: no answer from b before the deadline; set aside: d, e",
        ),
    ],
)
def test_who_did_not_is_said(sites: dict[str, str], who: str, trouble: str) -> None:
    said = plain(round_sentence(line(sites, dice=None), 50))
    assert said == f"round 12/50  {who}  loss 0.52  validation AUC 0.884  96 s{f'  {trouble}' if trouble else ''}"


def test_who_is_back_is_said_and_older_lines_say_nothing_of_it() -> None:
    back = line({"a": "ok", "b": "ok"}, readmitted=("b",))
    assert plain(round_sentence(back, 50)).endswith("96 s  back: b")
    del back["readmitted"]
    assert plain(round_sentence(back, 50)).endswith("96 s")


def ends_in(minutes: float) -> Forecast:
    ends_at = (NOW + timedelta(minutes=minutes)).isoformat()
    return Forecast(seconds_a_round=96, ends_at=ends_at, slowest=None, slowest_s=None, deadline_s=None)


def test_the_end_is_said_while_it_is_far() -> None:
    assert plain(round_sentence(line({"a": "ok"}), 50, run_end(ends_in(32), NOW))).endswith("  ends 14:32")
    assert run_end(ends_in(9), NOW) == ""
    assert run_end(None, NOW) == ""
    assert run_end(Forecast(seconds_a_round=1, ends_at=None, slowest=None, slowest_s=None, deadline_s=None), NOW) == ""


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        ([], "12 of 12 sites"),
        (["site-b", "site-c"], "waiting for site-b, site-c"),
        (["a", "b", "c", "d"], "waiting for 4 of 12 sites"),
        (["a-hospital-with-a-long-name", "another-hospital-of-the-same-group"], "waiting for 2 of 12 sites"),
    ],
)
def test_for_whom_it_waits(waiting: list[str], said: str) -> None:
    assert waiting_text(waiting, 12) == said


def shown(bar: RoundsBar) -> str:
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(bar._bar.get_renderable())
    return capture.get()


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(seconds=119), "14:01:59"),
        (timedelta(minutes=5), "14:05"),
        (timedelta(hours=10), "Thu 26 Nov 00:00"),
    ],
)
def test_a_deadline_has_seconds_where_they_matter_and_a_day_where_it_is_another(left: timedelta, said: str) -> None:
    assert deadline_text(NOW + left, NOW) == said


def test_the_bar_says_for_whom_until_when() -> None:
    bar = RoundsBar(8, Console(file=io.StringIO()))
    until = datetime.now(CET).replace(microsecond=0) + timedelta(minutes=5)
    bar.step("training", ["a", "b", "c", "d", "e"], until)
    assert "waiting for 5 of 5 sites until" in shown(bar)
    assert shown(bar).rstrip().endswith(f" {until:%H:%M}")
    for site in ("d", "a", "e"):
        bar.answer(site)
    assert "waiting for b, c until" in shown(bar)
    for site in ("b", "c"):
        bar.answer(site)
    assert "5 of 5 sites" in shown(bar)
    assert "until" not in shown(bar)
    bar.step("validation", iter(["a", "b"]), datetime.now(CET) + timedelta(seconds=30))
    assert "waiting for a, b until" in shown(bar)
    assert len(shown(bar).rpartition("until ")[2].strip()) == len("14:40:12")
    bar.done(1, "round 1/8")
    assert "waiting" not in shown(bar)


def test_the_bar_moves_with_each_answer() -> None:
    bar = RoundsBar(2, Console(file=io.StringIO()))
    bar.step("training", ["a", "b"])
    places = [bar._bar.tasks[0].completed]
    for site in ("a", "b"):
        bar.answer(site)
        places.append(bar._bar.tasks[0].completed)
    assert places == pytest.approx([0, 0.425, 0.85])
