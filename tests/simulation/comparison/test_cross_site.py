"""Every network at every hospital, by hand; and what a table shows of it without colour."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodnet_model.metrics import ScoreHistogram
from bloodnet_model.settings import model_settings
from client.tested_site import TestedSite
from server.settings import RunSettings
from simulation.comparison.cross_site import cross_site
from simulation.comparison.heat_table import heat_rows, lowest
from simulation.comparison.page import page_html
from simulation.comparison.ways import Way

PATIENTS = [0, 0, 0, 0, 1, 1, 1, 1]
"""Labels at a site with eight patients."""
BEST = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]
GOOD = [0.1, 0.2, 0.3, 0.65, 0.6, 0.7, 0.8, 0.9]  # one of sixteen pairs the wrong way round
FAIR = [0.1, 0.2, 0.65, 0.75, 0.6, 0.7, 0.8, 0.9]  # three of sixteen


def site(name: str, labels: Sequence[int], **scores: Sequence[float]) -> TestedSite:
    arrays = {network.replace("_", "-"): np.array(of) for network, of in scores.items()}
    return TestedSite(name, np.array(labels, np.int8), np.arange(len(labels)), arrays)


def crossed(*sites: TestedSite) -> dict[str, Any]:
    settings = RunSettings(model=model_settings("tiny"))
    ways = [Way("fedavg", (Path("a"), Path("b")), settings), Way("local-a", (Path("a"),), settings, site="a")]
    return cross_site(ways, {way.name: [f"{way.name}-0", f"{way.name}-1"] for way in ways}, sites)


def networks(**scores: Sequence[Sequence[float]]) -> dict[str, Sequence[float]]:
    return {f"{name}_{seed}": of for name, both in scores.items() for seed, of in enumerate(both)}


def test_every_cell_is_from_its_own_hospitals_patients() -> None:
    found = crossed(
        site("a", PATIENTS, **networks(local_a=[GOOD, GOOD], fedavg=[GOOD, FAIR])),
        site("b", [*PATIENTS, -1], **networks(local_a=[[*FAIR, 0.5]] * 2, fedavg=[[*BEST, 0.5]] * 2)),
    )
    assert found["tested"] == {name: {"positive": 4, "negative": 4} for name in "ab"}
    assert list(found["trained"]) == ["local-a", "fedavg"], "local ways first"
    assert [row["own"] for row in found["trained"].values()] == ["a", ""]
    cells = {(way, at): cell for way, row in found["trained"].items() for at, cell in row["auc"].items()}
    assert cells["local-a", "a"]["by_seed"] == [15 / 16, 15 / 16]
    assert cells["local-a", "b"]["by_seed"] == [13 / 16, 13 / 16]
    assert cells["fedavg", "a"]["mean"] == pytest.approx(14 / 16)
    ends = [ScoreHistogram.from_scores(scores, PATIENTS).auc_interval() for scores in (GOOD, FAIR)]
    assert cells["fedavg", "a"]["interval"] == pytest.approx(np.mean(ends, axis=0))
    assert cells["fedavg", "b"] == {"mean": 1.0, "by_seed": [1.0, 1.0], "interval": None}, "it would claim certainty"


def test_a_hospital_without_negatives_has_no_auc() -> None:
    found = crossed(site("a", [1, 1], **networks(local_a=[[0.1, 0.2]] * 2, fedavg=[[0.3, 0.4]] * 2)))
    assert found["tested"]["a"] == {"positive": 2, "negative": 0}
    assert found["trained"]["fedavg"]["auc"]["a"] == {"mean": None, "by_seed": [], "interval": None}


def cell(mean: float | None) -> dict[str, Any]:
    return {"mean": mean, "by_seed": [mean], "interval": [mean - 0.05, mean + 0.05] if mean else None}


FOUND: dict[str, Any] = {
    "data": "cq500",
    "preset": "tiny",
    "rounds": 2,
    "local_epochs": 1,
    "seeds": 1,
    "reference": "fedavg",
    "test": {"studies": 4, "sites": 2},
    "ways": {name: {"auc": [0.8], "steps": [9]} for name in ("fedavg", "central", "central-total", "local-<b>")},
    "differences": {name: {"delta": None, "undefined": ""} for name in ("central", "central-total")},
    "hospitals": {},
    "cross_site": {
        "tested": {name: {"positive": 3, "negative": 1} for name in ("a", "<b>")},
        "trained": {
            "local-<b>": {"own": "<b>", "auc": {"a": cell(0.6), "<b>": cell(0.9)}},
            "fedavg": {"own": "", "auc": {"a": cell(0.7), "<b>": cell(None)}},
            "central": {"own": "", "auc": {"a": cell(0.75), "<b>": cell(0.5)}},
        },
    },
}


def test_the_table_says_in_words_what_its_colours_say() -> None:
    rows = heat_rows(FOUND)
    assert [(row.name, row.first_together) for row in rows] == [
        ("at <b> alone", False),
        ("fedavg", True),
        ("central", False),
    ]
    assert [[each.own for each in row.cells] for row in rows] == [[False, True], [False, False], [False, False]]
    assert [[each.auc for each in row.cells] for row in rows] == [
        ["0.600", "0.900"],
        ["0.700", "–"],
        ["0.750", "0.500"],
    ]
    assert rows[0].cells[0].between == "0.55 to 0.65"
    tints = {each.auc: each.tint for row in rows for each in row.cells}
    assert sorted(tints, key=lambda auc: tints[auc]) == ["–", "0.500", "0.600", "0.700", "0.750", "0.900"]
    assert lowest(FOUND) == (
        "The lowest AUC of a network trained alone is 0.600 (<b>'s at a); the lowest of fedavg is 0.700 (at a)."
    )


def test_the_page_frames_the_diagonal_and_escapes_names() -> None:
    page = page_html(FOUND)
    (own,) = re.findall(r'<td class="own" style="--tint: 42%">(.*?)</td>', page, re.DOTALL)
    assert " ".join(own.split()) == "0.900 <small>own, 0.85 to 0.95</small>"
    assert "<b>" not in page
    assert "tested at &lt;b&gt;" in page


@pytest.mark.parametrize(
    ("interval", "needed", "said"),
    [
        ([0.01, 0.05], 100, "better"),
        ([-0.05, -0.01], 100, "worse"),
        ([-0.01, 0.07], 1234, "undecided; 1,234 such studies might tell"),
        ([-0.04, 0.04], None, "undecided"),
        (None, None, "equal: both rank every patient alike"),
    ],
)
def test_a_hospitals_gain_or_loss_is_told_in_words(interval: Any, needed: int | None, said: str) -> None:
    difference = {"auc_first": [0.8], "auc_second": [0.77], "delta": 0.03, "interval": interval}
    difference |= {"patients_delong": None, "patients_bootstrap": [-0.1, 0.1], "studies_to_decide": needed}
    names = "university-hospital-1", "university-hospital-2"
    page = page_html({**FOUND, "hospitals": {name: {"own": difference, "others": difference} for name in names}})
    assert page.count(f'<td class="text why">{said}</td>') == 4
    assert [page.count(f"unive…tal-{number}, {of}") for number in (1, 2) for of in ("own", "others")] == [1] * 4
    assert page.count("AUC of fedavg minus AUC of the other") == 1, "the picture beside the table"


def test_a_comparison_without_any_auc_has_its_page() -> None:
    page = page_html({**FOUND, "ways": {name: {"auc": [None], "steps": [9]} for name in FOUND["ways"]}})
    assert "No AUC exists; the tables say why." in page
