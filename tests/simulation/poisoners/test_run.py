"""The experiment: its settings, who poisons, and the whole of it, small."""

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bloodnet_model.errors import SettingsError
from bloodnet_model.settings import model_settings
from server.run_folder import read_metrics
from server.settings import RunSettings
from simulation.poisoners.console import print_poisoning
from simulation.poisoners.figure import figure_png, figure_svg
from simulation.poisoners.run import numbers_of, poison, poisoning_settings
from simulation.poisoners.trainings import PoisoningSettings, drawn_poisoners, trainings

SITES = ("a", "b", "c", "d", "e")


def test_more_poisoners_are_the_same_and_others_besides() -> None:
    drawn = [drawn_poisoners(SITES, count, 7) for count in range(6)]
    assert [len(of) for of in drawn] == [0, 1, 2, 3, 4, 5]
    assert all(set(fewer) < set(more) for fewer, more in pairwise(drawn))
    assert drawn_poisoners(list(reversed(SITES)), 2, 7) == drawn[2]
    assert len({drawn_poisoners(SITES, 1, seed) for seed in range(40)}) == 5


def test_every_seed_has_all_strategies_from_the_same_weights_and_with_the_same_poisoners() -> None:
    run = RunSettings(model=model_settings("tiny"), seed=3)
    settings = PoisoningSettings(strategies=("fedavg", "multi-krum"), seeds=2)
    those = trainings(settings, run, {name: Path(name) for name in SITES}, Path("runs"))
    assert len({training.folder for training in those}) == len(those) == 2 * 3 * 2
    assert [(of.seed, len(of.poisoners), of.strategy) for of in those[:4]] == [
        (0, 0, "fedavg"),
        (0, 0, "multi-krum"),
        (0, 1, "fedavg"),
        (0, 1, "multi-krum"),
    ]
    assert those[2].poisoners == those[3].poisoners
    assert [of.settings.seed for of in those] == [3] * 6 + [4] * 6
    assert (those[1].settings.strategy, those[1].settings.strategy_parameters) == ("krum", {"selected_sites": 3})


@pytest.mark.parametrize(
    ("poisoning", "sentence"),
    [
        ({"strategies": ("fedavgg",)}, "choose one of fedavg"),
        ({"strategies": ("krum", "krum")}, "name each once"),
        ({"poisoners": (1, 2)}, "add 0"),
        ({"poisoners": (0, -1)}, "poisoning.poisoners"),
        ({"parameters": {"krum": {"faulty_sites": 1}}, "strategies": ("fedavg",)}, "krum is not trained"),
        ({"parameters": {"multi-krum": {"selected": 1}}}, "selected"),
    ],
)
def test_mistakes_are_said_before_any_work(poisoning: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        poisoning_settings({"poisoning": poisoning})


def test_numbers_on_the_command_line() -> None:
    assert numbers_of("0,1, 2") == (0, 1, 2)
    with pytest.raises(SettingsError, match="write whole numbers"):
        numbers_of("0;1")


def arm(strategy: str, poisoners: int, auc: float | None) -> dict[str, Any]:
    known = auc is not None
    return {
        "strategy": strategy,
        "parameters": {},
        "poisoners": poisoners,
        "auc": {"mean": auc, "by_seed": [auc] if known else [], "interval": [0.4, 0.9] if known else None},
        "minus_reference": None,
        "refused_updates": 0,
    }


FOUND: dict[str, Any] = {
    "data": "synthetic",
    "reference": "fedavg",
    "arms": [arm("fedavg", 0, 0.8), arm("<krum>", 0, 0.7), arm("fedavg", 1, 0.6), arm("<krum>", 1, None)],
}


def test_the_figure_has_a_row_for_each_number_of_poisoners_and_the_same_bytes() -> None:
    text = figure_svg(FOUND)
    assert text == figure_svg(FOUND)
    assert figure_png(FOUND) == figure_png(FOUND)
    assert all(shown in text for shown in (">fedavg<", "&lt;krum&gt;", ">0.800<", ">0.600<"))


def test_the_table_is_ordered_by_strategy(capsys: pytest.CaptureFixture[str]) -> None:
    print_poisoning(FOUND, Path("out"))
    shown = capsys.readouterr().out
    assert shown.index("0.800") < shown.index("0.600") < shown.index("0.700") < shown.index("undefined")
    assert "synthetic heads" in shown


SMALL: dict[str, Any] = {
    "data": {"sites": 3, "studies": 16, "slices": 8, "matrix": 64},
    "model": {"preprocessing": {"rows": 32, "columns": 24, "spacing_mm": 6.0}},
    "rounds": 2,
    "local_epochs": 1,
    "poisoning": {"strategies": ("fedavg", "median"), "poisoners": (0, 1), "seeds": 1},
}


@pytest.mark.slow
def test_it_trains_tests_and_goes_on(tmp_path: Path) -> None:
    quiet, out = Console(file=io.StringIO(), width=120), tmp_path / "out"
    found = poison(poisoning_settings(SMALL), out, 2, quiet)
    assert [(one["strategy"], one["poisoners"]) for one in found["arms"]] == [
        ("fedavg", 0),
        ("median", 0),
        ("fedavg", 1),
        ("median", 1),
    ]
    assert [one["refused_updates"] for one in found["arms"]] == [0] * 4
    assert [one["minus_reference"] is None for one in found["arms"]] == [True, False, False, False]
    losses = [read_metrics(out / "runs" / f"fedavg-{n}-poisoners-seed-0")["rounds"] for n in (0, 1)]
    assert losses[0][0]["train_loss"] == losses[1][0]["train_loss"], "poisoners train honestly, from the same weights"
    assert losses[0][1]["train_loss"] != losses[1][1]["train_loss"]
    assert json.loads((out / "poisoners.json").read_text()) == json.loads(json.dumps(found))

    (out / "runs" / "median-1-poisoners-seed-0" / "metrics.json").unlink()
    kept = (out / "runs" / "fedavg-0-poisoners-seed-0" / "metrics.json").stat().st_mtime_ns
    assert json.dumps(poison(poisoning_settings(SMALL), out, 1, quiet)) == json.dumps(found)
    assert (out / "runs" / "fedavg-0-poisoners-seed-0" / "metrics.json").stat().st_mtime_ns == kept
    four = {**SMALL, "poisoning": {**SMALL["poisoning"], "poisoners": (0, 4)}}
    with pytest.raises(SettingsError, match="4 are more than the 3 sites"):
        poison(poisoning_settings(four), tmp_path / "four", 1, quiet)
