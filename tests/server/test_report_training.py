"""Who took part, which round's model it is, and when a run ends: what the report says of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodnet_model.run_metrics import RunMetrics
from server.report.answer import answers, shown_of
from server.report.figures.participation import attendance_plot
from server.report.model_choice import chosen_round, deadline_sentences, end_sentence, planned_rounds
from server.report.page import report_html
from server.report.participation import (
    answers_reading,
    attendance_reading,
    attendances,
    strides_reading,
)
from server.report.plots import plots_of
from server.selection import METRICS
from tests.server.rich_run import rich_metrics
from tests.server.test_report import text_of

Sites = dict[str, dict[str, Any]]
OK = {"status": "ok", "answered_s": 30.0, "norm": 2.0}


def run(*rounds: Sites, test: bool = True, **entries: Any) -> RunMetrics:
    """A run whose rounds were these; the last is the end of it where there is a `test`."""
    raw = rich_metrics(sites=4, rounds=1, planned=1)
    line = raw["rounds"][0]
    raw["rounds"] = [{**line, "round": number, "sites": sites} for number, sites in enumerate(rounds, start=1)]
    raw["run"] |= {"rounds": len(rounds), **entries.pop("run", {})}
    raw["test"] = raw["test"] if test else None
    return RunMetrics.model_validate({**raw, "selection": None, "forecast": None, **entries})


def not_finite(**more: Any) -> dict[str, Any]:
    return {"status": "refused", "reason": "not-finite", **more}


TROUBLE: tuple[Sites, ...] = (
    {"riverside": OK, "st-mary": not_finite(answered_s=20.0), "lakeside": OK},
    {"riverside": OK, "st-mary": {"status": "refused", "reason": "no-answer", "answered_s": 99.0}, "lakeside": OK},
    {"riverside": OK, "st-mary": {"status": "set-aside"}, "lakeside": {"status": "not-asked"}},
    {"riverside": {**OK, "answered_s": 60.0}, "st-mary": OK, "lakeside": {**OK, "norm": 6.0}},
)


def test_attendance_counts_each_round_once() -> None:
    found = attendances(run(*TROUBLE))
    assert list(found) == ["st-mary", "riverside", "lakeside"]  # the run's order, then those it does not know
    mary = found["st-mary"]
    assert (mary.counted, mary.asked, mary.not_drawn, mary.aside) == (1, 3, 0, 1)
    assert mary.lost == {"not finite": 1, "no answer": 1}
    assert mary.answers_s == [20, 30]  # waiting for nothing is no answer
    assert mary.took_part == "1 of 3; set aside in 1"
    assert mary.of_the_others.replace("\u00a0", " ") == "1 × no answer; 1 × not finite; set aside in 1"
    assert found["lakeside"].took_part == "3 of 3; not drawn in 1"
    assert found["lakeside"].strides == [1, 1, 3]
    assert found["riverside"].strides == [1, 1, 1, 1]


def test_older_runs_are_timed_by_the_sites_themselves() -> None:
    older: Sites = {"riverside": {"status": "ok", "seconds": 12.0}, "st-mary": not_finite(seconds=3.0)}
    found = attendances(run(older))
    assert (found["riverside"].answers_s, found["st-mary"].answers_s) == ([12], [])
    plots = plots_of(run(older), None)
    assert "strides" not in plots
    assert "seconds of training" in plots["answers"].svg_file()


def test_the_reading_says_who_was_lost_and_who_is_out() -> None:
    metrics = run(*TROUBLE)
    said = attendance_reading(metrics.rounds, list(attendances(metrics).values())).replace("\u00a0", " ")
    assert said == (
        "8 of 10 updates that were asked for counted. st-mary lost most (1 × no answer; 1 × not finite). "
        "1 time a hospital was not drawn for a round. Set aside for some rounds and back since: st-mary."
    )
    metrics = run(*TROUBLE[:3])
    said = attendance_reading(metrics.rounds, list(attendances(metrics).values()))
    assert "Set aside in the last round, after three refusals in a row: st-mary." in said
    assert "back since" not in said


def test_readings_of_answers_and_strides() -> None:
    metrics = run(*TROUBLE)
    of_sites = list(attendances(metrics).values())
    assert answers_reading(metrics.rounds, of_sites).endswith("riverside needs longest, 30.0 s.")
    slow = run({"riverside": {**OK, "answered_s": 90.0}, "st-mary": OK, "lakeside": {**OK, "norm": 0.5}})
    of_sites = list(attendances(slow).values())
    assert "riverside needs longest, 90.0 s, 3.0 times the middle hospital." in answers_reading(slow.rounds, of_sites)
    assert strides_reading(of_sites).startswith("lakeside moves the weights 0.2 times as far as the middle hospital")
    alike = run({"riverside": OK, "st-mary": {**OK, "norm": 2.2}})
    assert strides_reading(list(attendances(alike).values())).startswith("All hospitals move the weights about as far")


def test_each_status_has_its_own_mark_and_word() -> None:
    metrics = run(*TROUBLE)
    drawing = attendance_plot(metrics.rounds, dict.fromkeys(attendances(metrics), ""))
    legend = drawing.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["counted", "lost", "not drawn", "set aside"]
    assert len({handle.get_marker() for handle in legend.legend_handles}) == 4  # type: ignore[union-attr]
    strokes = [np.size(patch.get_path().vertices) // 4 for patch in drawing.axes[0].patches]
    assert strokes == [8, 1, 1]  # counted, not drawn, set aside
    assert np.size(drawing.axes[0].lines[-1].get_xdata()) == 2  # lost


def choice(chosen: str, last: float | None, best: tuple[int, float] | None, **more: Any) -> dict[str, Any]:
    return {
        "metric": "auc",
        "chosen": chosen,
        "last": {"round": 4, "value": last},
        "best": best and dict(zip(("round", "value"), best, strict=True)),
        "stopped_early": False,
        "patience": 0,
        "planned_rounds": 4,
        **more,
    }


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (
            choice("best", 0.871, (2, 0.8841)),
            "Round 2, the best on validation patients: pooled AUC of any hemorrhage 0.884; the last, round 4, has "
            "0.871. The highest of 4 rounds flatters itself; test patients had no say in it.",
        ),
        (
            choice("last", 0.871, (2, 0.8841)),
            "Round 4, the last: pooled AUC of any hemorrhage 0.871 on validation patients; the best, round 2, has "
            "0.884.",
        ),
        (
            choice("best", 0.871, (4, 0.871)),
            "Round 4, the last and the best on validation patients: pooled AUC of any hemorrhage 0.871.",
        ),
        (
            choice("last", None, None),
            "Round 4, the last; no round has a pooled AUC of any hemorrhage on validation patients.",
        ),
        (
            choice("last", 0.8, (4, 0.8), stopped_early=True, patience=2, planned_rounds=20),
            "Round 4, the last and the best on validation patients: pooled AUC of any hemorrhage 0.800. Training "
            "stopped early: 2 rounds in a row brought nothing better; 4 of 20 were done.",
        ),
    ],
)
def test_which_rounds_model_it_is(selection: dict[str, Any], said: str) -> None:
    metrics = run(*TROUBLE, selection=selection)
    told = {answer.asked: answer.said for answer in answers(metrics, shown_of(metrics))}
    assert told["Which round's model"] == said


def test_a_best_of_fewer_patients_is_said_to_be_so() -> None:
    metrics = run(*TROUBLE, selection=choice("last", 0.871, (2, 0.8841)))
    record = metrics.rounds[1].validation.any_hemorrhage
    fewer = metrics.rounds[1].validation.model_copy(
        update={"pooled": {"any": record.model_copy(update={"studies": 41})}}
    )
    rounds = [*metrics.rounds]
    rounds[1] = rounds[1].model_copy(update={"validation": fewer})
    metrics = metrics.model_copy(update={"rounds": rounds})
    told = {answer.asked: answer.said for answer in answers(metrics, shown_of(metrics))}
    said = f"Round 2 was validated on 41 studies and the last on {record.studies:,}: not the same hospitals answered."
    assert told["Which round's model"].endswith(said)


def test_the_page_marks_the_chosen_round_and_an_early_stop() -> None:
    early = choice("best", 0.871, (2, 0.8841), stopped_early=True, patience=2, planned_rounds=20)
    metrics = run(*TROUBLE, selection=early, run={"rounds": 20})
    assert (chosen_round(metrics), planned_rounds(metrics)) == (2, 4)
    text = text_of(report_html(metrics, ""))
    assert "4 of 20, stopped early" in text
    assert "2 chosen " in text
    assert "chosen: round 2" in text
    for selection in (choice("last", 0.871, (2, 0.8841)), choice("best", 0.9, (4, 0.9)), None):
        assert chosen_round(run(*TROUBLE, selection=selection)) is None


def test_who_is_set_aside_waits_for_the_coordinator_while_the_run_goes_on() -> None:
    def asked(metrics: RunMetrics) -> dict[str, str]:
        return {answer.asked: answer.said for answer in answers(metrics, shown_of(metrics))}

    going = run(*TROUBLE[:3], test=False, run={"rounds": 20})
    assert asked(going)["Set aside"] == (
        "After three refusals in a row, not asked until it is admitted again: st-mary (no answer)."
    )
    assert "Set aside" not in asked(run(*TROUBLE, test=False, run={"rounds": 20}))  # it is back
    assert "Set aside" not in asked(run(*TROUBLE[:3]))  # the run is over


AHEAD = {
    "seconds_a_round": 120.0,
    "ends_at": "2026-11-25T14:32:00+01:00",
    "slowest": "riverside",
    "slowest_s": 41.0,
    "deadline_s": 180.0,
}


def test_a_run_that_goes_on_says_when_it_ends() -> None:
    going = run(*TROUBLE, test=False, run={"rounds": 20}, forecast=AHEAD, selection=choice("best", 0.8, (2, 0.9)))
    told = {answer.asked: answer.said for answer in answers(going, shown_of(going))}
    assert told["When it ends"] == (
        "16 rounds to go, 2 min each: the last is over about 14:32 on Wed 25 Nov (UTC+01:00); the test follows."
    )
    assert told["Which round's model"].startswith(
        "The best pooled AUC of any hemorrhage so far is 0.900 in round 2; the last, round 4, has 0.800. "
        "The run is to end with its best model."
    )
    assert end_sentence(run(*TROUBLE, test=False, forecast=AHEAD)) == ""  # all rounds are done
    assert end_sentence(run(*TROUBLE, forecast=AHEAD)) == ""


def test_the_deadline_stands_beside_the_one_that_would_do() -> None:
    metrics = run(*TROUBLE, forecast=AHEAD, run={"deadline_s": 25.0})
    assert deadline_sentences(metrics) == (
        "A round waits for 25 seconds at most; three times the slowest usual answer, rounded up, is 3 minutes. "
        "lakeside was later than that in 3 of its last 3 rounds. riverside was later than that in 4 of its last 4 "
        "rounds. st-mary was later than that in 2 of its last 3 rounds."
    )
    assert deadline_sentences(run(*TROUBLE, run={"deadline_s": 25.0})) == ""
    assert deadline_sentences(run(*TROUBLE, forecast=AHEAD, run={"deadline_s": None})) == ""


@pytest.mark.parametrize(("deadline_s", "drawn"), [(100.0, True), (3600.0, False)])
def test_a_far_deadline_does_not_press_the_answers_flat(deadline_s: float, drawn: bool) -> None:
    plots = plots_of(run(*TROUBLE, run={"deadline_s": deadline_s}), None)
    assert (">deadline<" in plots["answers"].svg_file()) is drawn


def test_the_rounds_table_says_who_was_not_asked_and_who_is_back() -> None:
    metrics = run(*TROUBLE)
    back = metrics.rounds[3].model_copy(update={"readmitted": ["st-mary"]})
    text = text_of(report_html(metrics.model_copy(update={"rounds": [*metrics.rounds[:3], back]}), ""))
    assert "2 of 3 st-mary: not finite" in text
    assert "1 of 1 set aside: st-mary 1 not drawn" in text
    assert "3 of 3 back: st-mary" in text


def test_docs_name_the_metrics_that_there_are() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `metric` "))
    assert row.split("`")[3::2] == list(METRICS)
