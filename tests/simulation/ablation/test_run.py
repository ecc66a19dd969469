"""A whole ablation, small: two arms, two seeds, stopped and gone on with."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bloodnet_model.errors import DataError, SettingsError
from simulation.ablation.console import print_ablation
from simulation.ablation.page import page_html
from simulation.ablation.run import Ablation, ablate, ablation_settings

SMALL: dict[str, Any] = {
    "data": {"sites": 2, "studies": 16, "slices": 8, "matrix": 64},
    "model": {"preprocessing": {"rows": 32, "columns": 24, "spacing_mm": 6.0}},
    "ablation": {
        "links": ("dependent", "single"),
        "seeds": 1,
        "plateau": {"check_steps": 4, "window": 1, "patience": 1, "maximum_steps": 8, "decay_steps": 4},
    },
}


def settings(**ablation: Any) -> Ablation:
    return ablation_settings({**SMALL, "ablation": {**SMALL["ablation"], **ablation}})


@pytest.mark.slow
def test_an_ablation_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    said = io.StringIO()
    quiet = Console(file=said, width=120)
    first = ablate(settings(), tmp_path / "whole", 1, quiet)
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {
        "ablation.html",
        "ablation.json",
        "config.yaml",
        "models",
        "partition.csv",
    }
    assert first["verdict"] is None
    assert list(first["arms"]) == ["dependent", "single"]
    assert first["test"]["sites"] == 2
    assert json.loads((tmp_path / "whole" / "ablation.json").read_text()) == json.loads(json.dumps(first))
    assert "dependent    seed 0" in said.getvalue()

    part = tmp_path / "part"
    shutil.copytree(tmp_path / "whole", part)
    model = part / "models" / "single-seed-0.safetensors"
    whole = model.read_bytes()
    model.write_bytes(b"half of it")
    (part / "models" / "single-seed-0.json").unlink()
    kept = (part / "models" / "dependent-seed-0.safetensors").stat().st_mtime_ns
    again = ablate(settings(), part, 2, quiet)
    assert json.dumps(again) == json.dumps(first)
    assert model.read_bytes() == whole
    assert (part / "models" / "dependent-seed-0.safetensors").stat().st_mtime_ns == kept

    more = ablate(settings(seeds=2), part, 2, quiet)
    assert more["arms"]["dependent"][0] == first["arms"]["dependent"][0]
    assert more["arms"]["dependent"][1] != first["arms"]["dependent"][0]
    with pytest.raises(DataError, match="holds a run with other settings"):
        ablate(settings(plateau={**SMALL["ablation"]["plateau"], "gain": 0.5}), part, 1, quiet)

    page = page_html(more)
    assert "Synthetic heads" in page
    assert page.count("<svg") == 3
    assert page == page_html(json.loads(json.dumps(more)))


@pytest.mark.parametrize(
    ("links", "sentence"),
    [
        (("independent", "single"), "name dependent and at least one other"),
        (("dependent",), "name dependent and at least one other"),
        (("dependent", "single", "single"), "each once"),
        (("dependent", "dependant"), "ablation.links.1"),
    ],
)
def test_links_that_make_no_ablation_are_refused(links: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        settings(links=links)


def results(says: str) -> dict[str, Any]:
    """As `ablation.json` holds them."""
    training = {"auc": 0.9, "steps": 1200, "settled": True, "validation": [{"step": 400, "auc": 0.8, "dice": 0.5}]}
    difference = {
        "delta": 0.01,
        "interval": [-0.01, 0.03],
        "patients_delong": [0.0, 0.02],
        "patients_bootstrap": [0.0, 0.02],
        "studies": 200,
        "studies_to_decide": 780,
    }
    return {
        "data": "cq500",
        "preset": "tiny",
        "test": {"studies": 200, "positives": 90, "sites": 4},
        "arms": {"dependent": [training], "attention": [training]},
        "comparisons": {"attention": difference},
        "rule": "The claim holds if <it does>.",
        "verdict": {"says": says, "rival": "attention", "why": "dependent minus attention is so."},
    }


@pytest.mark.parametrize("says", ["holds", "fails", "undecided"])
def test_the_verdict_comes_first_and_is_said_plainly(says: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = page_html(results(says))
    headline = page.split("<h1>")[1].split("</h1>")[0]
    assert headline.startswith(f"The claim {'is undecided' if says == 'undecided' else says}: that classification")
    assert "Synthetic" not in page
    assert "&lt;it does&gt;" in page
    assert ">780<" in page
    print_ablation(results(says), Path("ablation.html"))
    shown = capsys.readouterr().out
    assert f"The claim {'is undecided' if says == 'undecided' else says}" in shown
    assert "+0.010 (-0.010 to +0.030)" in shown
