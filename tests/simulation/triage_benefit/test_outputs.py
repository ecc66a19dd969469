"""The page, the pictures, the table and the sentences of a triage simulation."""

import io
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bloodnet_model.metrics import ScoreHistogram
from simulation.triage_benefit.benefit import (
    BY_SCORE,
    FIRST_COME,
    FLAGGED,
    ICH,
    MISSED,
    NO_ICH,
    Benefit,
    Estimate,
    Outcome,
    simulate_benefit,
)
from simulation.triage_benefit.classifier import from_histogram, from_operating_point
from simulation.triage_benefit.console import print_benefit
from simulation.triage_benefit.figures import sheet_png, sheet_svg
from simulation.triage_benefit.outputs import to_json, write_outputs
from simulation.triage_benefit.page import benefit_html
from simulation.triage_benefit.settings import benefit_settings
from simulation.triage_benefit.wording import answer, assumptions, findings, minutes, signed

BRIEF = benefit_settings({"days": 6, "replications": 4})
HISTOGRAM = ScoreHistogram(np.array([2, 3, 5, 8, 12, 30]), np.array([60, 40, 30, 20, 10, 4]))


def simulated(synthetic: bool = False, name: str = "first") -> Benefit:
    return simulate_benefit(BRIEF, from_histogram(HISTOGRAM, 0.85, name, synthetic))


@pytest.fixture(scope="module")
def benefit() -> Benefit:
    return simulated()


@pytest.fixture(scope="module")
def flag_only() -> Benefit:
    return simulate_benefit(BRIEF, from_operating_point(1, 0.9))


def estimate(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half)


def told(benefit: Benefit, policy: str, group: str, value: float, difference: float, half: float) -> Benefit:
    """The same benefit with another mean of one group under one policy."""
    old = benefit.outcomes[policy][group]
    new = Outcome({**old.measures, "mean": estimate(value, half)}, {"mean": estimate(difference, half)})
    return replace(benefit, outcomes={**benefit.outcomes, policy: {**benefit.outcomes[policy], group: new}})


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<style.*?</style>|<[^>]+>", "", page, flags=re.DOTALL)))


def test_the_answer_is_one_sentence_with_its_interval(benefit: Benefit) -> None:
    shown = told(told(benefit, BY_SCORE, ICH, 12.3, -18.7, 1.6), FIRST_COME, ICH, 31.0, 0, 4)
    assert str(answer(shown)) == (
        "Under these assumptions, an ICH-positive study waits 12 min (95 % CI 11–14) instead of 31 "
        "when the worklist is read by score"
    )
    assert next(findings(shown)) == (
        "By score, ICH-positive studies wait 18.7 min less on average (95 % CI 17.1–20.3)."
    )


def test_a_loss_and_a_draw_are_called_so(benefit: Benefit) -> None:
    worse = told(benefit, BY_SCORE, ICH, 40, 9.0, 1.0)
    assert "wait 9.0 min more on average (95 % CI 8.0–10.0)" in next(findings(worse))
    equal = told(benefit, BY_SCORE, ICH, 31, -0.5, 1.0)
    assert "neither longer nor shorter, as far as this shows (−0.5 (−1.5 to +0.5) min)" in next(findings(equal))


def test_who_pays_is_said(benefit: Benefit, flag_only: Benefit) -> None:
    shown = told(told(benefit, BY_SCORE, MISSED, 48.9, 9.9, 5), FLAGGED, MISSED, 74.3, 35.3, 5)
    shown = told(told(shown, FIRST_COME, MISSED, 39.0, 0, 4), FIRST_COME, NO_ICH, 38.9, 0, 4)
    price = list(findings(told(shown, BY_SCORE, NO_ICH, 43.9, 5, 1)))[-1]
    assert price == (
        "The price: the 8 % of ICH-positive studies that are not flagged wait 49 min instead of 39 (74 flagged first); "
        "ICH-negative studies wait 44 min instead of 39."
    )
    assert list(findings(flag_only))[-1].endswith("no ICH-positive study goes unflagged.")


def test_figures_are_written_with_their_intervals() -> None:
    assert minutes(estimate(14.25, 3.7)) == "14.2 (10.6–17.9)"
    assert minutes(estimate(2, 3)) == "2.0 (0.0–5.0)"
    assert minutes(estimate(140, 20)) == "140 (120–160)"
    assert signed(estimate(-24.9, 4.3)) == "−24.9 (−29.2 to −20.6)"
    assert signed(estimate(-0.01, 0.02)) == "0.0 (0.0 to 0.0)"
    assert minutes(Estimate(None, None, None)) == signed(Estimate(None, None, None)) == "none"


def test_an_assumption_names_its_source_until_it_is_changed() -> None:
    lines = {what: (value, source) for what, value, source in assumptions(benefit_settings({"reading_minutes": 10}))}
    assert lines["minutes a reading, mean"] == ("10", "as given")
    assert lines["share of studies with ICH"] == (
        "0.16",
        "BloodNet's random test set from 10 hospitals, arXiv 1907.00148",
    )


def test_the_page_opens_with_the_answer_and_holds_every_figure(benefit: Benefit) -> None:
    page = benefit_html(benefit)
    text = text_of(page)
    assert text_of(page.split("<h1>")[1].split("</h1>")[0]) == str(answer(benefit))
    for outcomes in benefit.outcomes.values():
        for outcome in outcomes.values():
            assert minutes(outcome.measures["mean"]) in text
    for _, value, source in assumptions(BRIEF):
        assert value in text
        assert source in text
    assert "60 with and 164 without hemorrhage" in text
    assert "4 × 6 days" in text
    assert not re.findall(r"(?:src|href)=.(?!#)|https?://", page)  # needs nothing else


def test_a_synthetic_run_says_so_first_and_others_do_not(benefit: Benefit) -> None:
    drawn = simulated(synthetic=True)
    assert str(answer(drawn)).startswith("Synthetic heads: under these assumptions, an ICH-positive study waits")
    assert "the minutes say nothing clinical" in text_of(benefit_html(drawn))
    assert "ynthetic" not in text_of(benefit_html(benefit))
    assert "Synthetic heads" in sheet_svg(drawn)


def test_an_operating_point_has_no_test_patients(flag_only: Benefit) -> None:
    text = text_of(benefit_html(flag_only))
    assert "flagged with the sensitivity and specificity given" in text
    assert "Test AUC" not in text
    assert "by score" not in text
    assert "none" in text  # of the ICH-positive studies that are not flagged


def test_a_name_cannot_leave_the_page() -> None:
    hostile = simulated(name="<script>alert(1)</script>")
    assert "<script" not in benefit_html(hostile)
    ElementTree.fromstring(sheet_svg(hostile))


def test_the_picture_is_drawn_for_paper_and_for_both_schemes(benefit: Benefit) -> None:
    image = Image.open(io.BytesIO(sheet_png(benefit))).convert("RGB")
    assert image.getpixel((2, 2)) == (255, 255, 255)
    colours = {colour for _, colour in image.getcolors(1 << 24) or []}
    assert {(163, 32, 47), (64, 100, 140), (92, 100, 112)} <= colours  # red, blue and grey as on the light page
    assert (85, 85, 85) not in colours  # the stand-in of the red
    drawing = sheet_svg(benefit)
    ElementTree.fromstring(drawing)
    assert "prefers-color-scheme:dark" in drawing
    used = set(re.findall(r"var\(--([a-z]+)\)", drawing))
    assert used == set(re.findall(r"--([a-z]+):", drawing))


def test_equal_benefits_are_equal_bytes(tmp_path: Path, benefit: Benefit) -> None:
    first = {path.name: path.read_bytes() for path in write_outputs(benefit, tmp_path)}
    assert first.keys() == {path.name for path in tmp_path.iterdir()}
    assert {path.name: path.read_bytes() for path in write_outputs(simulated(), tmp_path)} == first
    assert sorted(first) == ["triage-benefit.html", "triage-benefit.png", "triage-benefit.svg"]


def test_the_numbers_are_those_of_the_simulation(benefit: Benefit, flag_only: Benefit) -> None:
    numbers = json.loads(json.dumps(to_json(benefit)))
    mean = benefit.outcomes[BY_SCORE][ICH].measures["mean"]
    assert numbers["policies"][BY_SCORE][ICH]["measures"]["mean"] == {
        "value": mean.value,
        "low": mean.low,
        "high": mean.high,
    }
    assert numbers["classifier"]["test_set"]["auc"] == HISTOGRAM.auc()
    assert numbers["settings"]["warm_up_days"] == BRIEF.margin_days
    assert numbers["utilisation"] == pytest.approx(0.8)
    numbers = json.loads(json.dumps(to_json(flag_only)))
    assert numbers["classifier"]["test_set"] is None
    assert numbers["policies"][FLAGGED][MISSED]["measures"]["mean"]["value"] is None


def test_the_table_fits_80_columns(benefit: Benefit) -> None:
    wide = told(told(benefit, BY_SCORE, ICH, 99.9, -99.9, 99.9), FLAGGED, MISSED, 1234, 1000, 234)
    console = Console(width=80, file=io.StringIO(), record=True)
    print_benefit(wide, console)
    shown = console.export_text()
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    assert "…" not in shown
    assert "99.9 (0.0–200)" in shown
    assert "+1000 (+766 to +1234)" in shown
