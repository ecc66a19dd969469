"""The report of runs whose metrics come from real score histograms."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram, summary
from server.report import render_report
from server.wording import figure

HOSPITALS = ("hospital-1", "hospital-2", "hospital-3")
BANNER = "Synthetic heads: this tests the plumbing; it is not clinical accuracy."


def histograms(rng: np.random.Generator, studies: int = 60) -> dict[str, ScoreHistogram]:
    """Scores of one hospital by class; nobody has an epidural hematoma."""
    of_class = {}
    for name in CLASSES:
        labels = np.zeros(studies, int) if name == "epidural" else rng.integers(0, 2, studies)
        of_class[name] = ScoreHistogram.from_scores(rng.beta(2 + 2 * labels, 3), labels)
    return of_class


def pooled(parts: list[dict[str, ScoreHistogram]]) -> dict[str, ScoreHistogram]:
    return {name: sum((part[name] for part in parts), start=ScoreHistogram.empty()) for name in CLASSES}


def evaluation(rng: np.random.Generator, hospitals: tuple[str, ...] = HOSPITALS) -> dict[str, Any]:
    parts = {hospital: histograms(rng) for hospital in hospitals}
    together = pooled(list(parts.values()))
    return {
        "pooled": {name: summary(together[name]) for name in CLASSES},
        "sites": {site: {name: summary(part[name]) for name in CLASSES} for site, part in parts.items()},
        "dice": 0.482,
        "histograms": {
            name: {"positives": together[name].positives.tolist(), "negatives": together[name].negatives.tolist()}
            for name in CLASSES
        },
    }


def one_round(rng: np.random.Generator, number: int, hospitals: tuple[str, ...]) -> dict[str, Any]:
    sites: dict[str, Any] = {site: {"status": "ok", "studies": 60, "loss": 2.0 / number} for site in hospitals}
    if number == 2:
        sites[hospitals[1]] = {"status": "refused", "reason": "not-finite"}
    validation = {key: value for key, value in evaluation(rng, hospitals).items() if key != "histograms"}
    return {
        "round": number,
        "seconds": 6.1,
        "seconds_evaluate": 1.0,
        "sites": sites,
        "train_loss": 2.0 / number,
        "validation": validation,
        "dice": None if number == 1 else 0.4,
    }


def run_metrics(rounds: int = 3, test: bool = True, hospitals: tuple[str, ...] = HOSPITALS) -> dict[str, Any]:
    rng = np.random.default_rng(11)
    ledger = {"study-used": 60, "series-used": 60, "series-by-instance-number": 2, "file-used": 1440}
    faults = {"file-localizer": 5, "file-truncated": 1, "study-too-few-slices": 3}
    return {
        "schema": 1,
        "run": {
            "name": "quiet-run",
            "data": "synthetic",
            "strategy": "fedavg",
            "rounds": 3,
            "preset": "tiny",
            "link": "dependent",
            "parameters": 287406,
            "seed": 0,
        },
        "sites": {site: {"counts": {"train-studies": 40}, "ledger": {**ledger, **faults}} for site in hospitals},
        "rounds": [one_round(rng, number, hospitals) for number in range(1, rounds + 1)],
        "test": evaluation(rng, hospitals) if test else None,
        "baselines": {},
    }


def write_run(folder: Path, metrics: dict[str, Any]) -> Path:
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "config.yaml").write_text("strategy: fedavg\nnote: <b>bold</b> & plain\n")
    return folder


def page(folder: Path, metrics: dict[str, Any]) -> str:
    return render_report(write_run(folder, metrics)).read_text(encoding="utf-8")


def text_of(html: str) -> str:
    """What a person reads: no tags, one space between words."""
    return " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]*>", "", html, flags=re.DOTALL)).split())


def test_the_point_stands_in_the_headline(tmp_path: Path) -> None:
    metrics = run_metrics()
    record = metrics["test"]["pooled"]["any"]
    text = text_of(page(tmp_path, metrics))
    said = f"{record['auc']:.2f} (95 % CI {record['auc_low']:.2f}–{record['auc_high']:.2f})"
    assert f"Synthetic heads: pooled test AUC {said}, 180 studies from 3 hospitals" in text
    assert f"{record['auc']:.3f} ({record['auc_low']:.3f}–{record['auc_high']:.3f})" in text
    assert f"{record['error_bound']:.1e}" in text
    assert BANNER in text


@pytest.mark.parametrize(("bound", "said"), [(0.004, False), (0.12, True)])
def test_a_bound_that_shows_in_the_digits_stands_beside_the_auc(tmp_path: Path, bound: float, said: bool) -> None:
    metrics = run_metrics()
    metrics["test"]["pooled"]["any"]["error_bound"] = bound
    assert ("can have moved this AUC by up to 0.12" in text_of(page(tmp_path, metrics))) is said


def test_real_data_carry_no_banner(tmp_path: Path) -> None:
    metrics = run_metrics()
    metrics["run"]["data"] = "hospitals"
    assert BANNER not in page(tmp_path, metrics)


def test_mean_of_site_aucs_is_printed_nowhere(tmp_path: Path) -> None:
    metrics = run_metrics()
    sites = metrics["test"]["sites"].values()
    mean = float(np.mean([site["any"]["auc"] for site in sites]))
    assert f"{mean:.3f}" != f"{metrics['test']['pooled']['any']['auc']:.3f}"
    assert f"{mean:.3f}" not in text_of(page(tmp_path, metrics))


def test_undefined_and_withheld_say_why(tmp_path: Path) -> None:
    metrics = run_metrics()
    metrics["test"]["sites"]["hospital-2"] = {"withheld": "below-minimum-cohort"}
    none_positive = summary(ScoreHistogram.from_scores([0.2, 0.4], [0, 0]))
    metrics["test"]["sites"]["hospital-3"]["any"] = none_positive
    separated = summary(ScoreHistogram.from_scores([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]))
    metrics["test"]["sites"]["hospital-1"]["any"] = separated
    text = text_of(page(tmp_path, metrics))
    assert "180 studies from 2 of 3 hospitals" in text
    assert "no counts given: below minimum cohort" in text
    assert "the AUC is undefined: no positive study among 2." in text
    assert "the AUC is undefined: no positive study among 180." in text  # epidural, pooled
    assert "1.000 the interval is undefined: the classes are perfectly separated" in text
    assert "1.00 (no interval)" in text


def test_an_undefined_pooled_auc_is_no_number(tmp_path: Path) -> None:
    metrics = run_metrics()
    metrics["test"]["pooled"]["any"] = metrics["test"]["pooled"]["epidural"]
    text = text_of(page(tmp_path, metrics))
    assert "Synthetic heads: pooled test AUC undefined (no positive study among 180), 180 studies" in text
    assert "The ROC curve is drawn only where the pooled AUC is defined." in text


@pytest.mark.parametrize(("rounds", "figures"), [(1, 3), (0, 0)])
def test_before_the_test_set_is_evaluated(tmp_path: Path, rounds: int, figures: int) -> None:
    html = page(tmp_path, run_metrics(rounds=rounds, test=False))
    text = text_of(html)
    assert html.count("<svg") == figures
    assert "The ROC curve is drawn once the test set has been evaluated." in text
    if rounds:
        assert "Synthetic heads: test set not yet evaluated; validation AUC so far 0." in text
        assert "after round 1 of 3, 180 studies from 3 hospitals" in text
    else:
        assert "No round has been finished yet" in text


def test_validation_so_far_is_that_of_the_last_round(tmp_path: Path) -> None:
    metrics = run_metrics(rounds=2, test=False)
    record = metrics["rounds"][1]["validation"]["pooled"]["any"]
    said = f"{record['auc']:.2f} (95 % CI {record['auc_low']:.2f}–{record['auc_high']:.2f}) after round 2 of 3"
    assert f"validation AUC so far {said}" in text_of(page(tmp_path, metrics))


@pytest.mark.parametrize("better", [False, True])
def test_central_training_is_compared_in_one_sentence(tmp_path: Path, better: bool) -> None:
    metrics = run_metrics()
    central = evaluation(np.random.default_rng(5))
    if not better:
        metrics["test"], central = central, metrics["test"]
    metrics["baselines"] = {"central": {"test": central, "steps": 480, "note": "all patients in one place"}}
    theirs = central["pooled"]["any"]["auc"]
    difference = metrics["test"]["pooled"]["any"]["auc"] - theirs
    assert (difference > 0.005) is better
    text = text_of(page(tmp_path, metrics))
    assert f"Central training (all patients in one place) reached {theirs:.2f} (95 % CI" in text
    assert f"the federated model is {abs(difference):.2f} {'above' if better else 'below'} it." in text


def test_rounds_without_an_auc_leave_a_gap_in_the_curve(tmp_path: Path) -> None:
    metrics = run_metrics()
    for entry in metrics["rounds"]:
        entry["validation"]["pooled"]["any"] = entry["validation"]["pooled"]["epidural"]
        entry["dice"] = entry["train_loss"] = None
    html = page(tmp_path, metrics)
    assert html.count("<svg") == 5
    assert "nan" not in text_of(html).lower()


def test_rounds_and_lost_sites(tmp_path: Path) -> None:
    metrics = run_metrics()
    metrics["not_admitted"] = {"node-7": "no-answer"}
    text = text_of(page(tmp_path, metrics))
    assert "hospital-2: not finite" in text
    assert "2 of 3 1 × not finite" in text
    assert "8 of 9 updates that were asked for counted. hospital-2 lost most (1 × not finite)." in text
    assert "Not in the run: no answer from node-7 before the deadline." in text


def test_ledger_answers_whether_all_data_is_used(tmp_path: Path) -> None:
    text = text_of(page(tmp_path, run_metrics()))
    assert "180 of 189 studies, 186 of 186 series, 4,320 of 4,338 files are used." in text
    for said in ("3 too few slices", "5 localizer", "1 truncated", "2 by instance number"):
        assert said in text


HOSTILE = '</text></svg><script>alert("$1")</script>'


def test_what_sites_say_is_escaped(tmp_path: Path) -> None:
    metrics = run_metrics(hospitals=("a", HOSTILE, "病院 --> <b>"))
    metrics["rounds"][1]["sites"][HOSTILE] = {"status": "refused", "reason": "<img src=x>"}
    metrics["sites"]["a"]["ledger"]["file-<i>"] = 4
    metrics["test"]["sites"]["a"] = {"withheld": "<u>"}
    html = page(tmp_path, metrics)
    for forbidden in ("<script", "<img", "<i>", "<b>", "<u>"):
        assert forbidden not in html
    assert "&lt;script&gt;" in html
    assert "note: &lt;b&gt;bold&lt;/b&gt; &amp; plain" in html


def test_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    html = page(tmp_path, run_metrics())
    assert "default-src 'none'" in html
    assert not re.search(r"""(?:src|href)=["'](?!#)|url\((?!#)|@import|http-equiv="refresh""", html)
    assert set(re.findall(r"https?://[^\s\"'<>]+", html)) <= {
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    }


def test_figures_follow_the_colour_scheme_and_can_be_heard(tmp_path: Path) -> None:
    html = page(tmp_path, run_metrics())
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 5
    for drawing in drawings:
        assert re.match(r'<svg viewBox="[^"]+" role="img" aria-label="[^"]{10,}">', drawing)
        assert not re.search(r"#[0-9a-f]{6}\b", drawing)
        ElementTree.fromstring(drawing.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert html.count("<caption>") == html.count("<table")
    assert "prefers-color-scheme: dark" in html


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    first = render_report(write_run(tmp_path, run_metrics())).read_bytes()
    again = render_report(tmp_path).read_bytes()
    assert first == again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "metrics.json", "report.html"]


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metrics\.json"):
        render_report(tmp_path)
    metrics = run_metrics()
    write_run(tmp_path, metrics)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(DataError, match=r"config\.yaml: cannot be read"):
        render_report(tmp_path)
    del metrics["run"]["strategy"]
    write_run(tmp_path, metrics)
    with pytest.raises(DataError, match=r"metrics\.json: cannot be read \(run\.strategy: Field required\)"):
        render_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.884, "0.88"), (0.9987, "0.999"), (0.99996, "1.0000"), (1.0, "1.00"), (0.0, "0.00"), (1e-17, "0.00")],
)
def test_figures_are_not_rounded_to_certainty(value: float, text: str) -> None:
    assert figure(value) == text


def test_only_synthetic_heads_are_called_so(tmp_path: Path) -> None:
    metrics = run_metrics()
    assert "<title>Synthetic heads: pooled test AUC" in page(tmp_path, metrics)
    metrics["run"]["data"] = "cq500"
    html = page(tmp_path, metrics)
    assert "<title>Pooled test AUC" in html
    assert "ynthetic" not in html


def test_held_out_sets_stand_beside_the_hospitals_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    metrics = run_metrics()
    assert "Test sets of their own" not in page(tmp_path, metrics)
    metrics["sites"]["b1"] = {"counts": {"train-studies": 0, "test-random-studies": 40}, "ledger": {}}
    metrics["held_out"] = {"test-random": evaluation(rng, ("b1",))}
    central = {
        "test": evaluation(rng, HOSPITALS),
        "held_out": {"test-random": evaluation(rng, ("b1",))},
    }
    metrics["baselines"] = {"central": {**central, "steps": 5, "note": ""}}
    text = text_of(page(tmp_path, metrics))
    shown = text[text.index("Test sets of their own") :]
    for part in (metrics, central):
        assert f"{part['held_out']['test-random']['pooled']['any']['auc']:.3f}" in shown
    assert "test-random: b1." in shown
    assert "b1 no such patients" in shown
    assert "tests only" in shown


def test_a_partition_is_drawn(tmp_path: Path) -> None:
    metrics = run_metrics()
    share = {"studies": 31, "patients": 29, "labels": {"study": 31, "mask": 17}}
    metrics["partition"] = {
        "site-1": {**share, "findings": {"none": 14, "any kind": 17, "subdural": 17, "unknown": 0}},
        "<b>": {**share, "findings": {"none": 1412, "any kind": 0, "subdural": 0, "unknown": 0}},
    }
    html = page(tmp_path, metrics)
    drawn = html[html.index("Who was dealt what") : html.index("</figcaption>", html.index("Who was dealt what"))]
    assert all(f">{text}<" in drawn for text in ("site-1", "&lt;b&gt;", "1,412", "17", "subdural"))
    assert "unknown" not in drawn  # nobody has any
    assert "29 31 study, 17 mask" in text_of(html)
    assert "Who was dealt what" not in page(tmp_path, run_metrics())
