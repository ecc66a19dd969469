"""A whole comparison, small: two strategies, one place, and each of two hospitals alone."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bloodnet_model.errors import DataError, SettingsError
from server.run_folder import read_metrics
from simulation.comparison.console import print_comparison
from simulation.comparison.page import page_html
from simulation.comparison.run import compare, comparison_settings

SMALL: dict[str, Any] = {
    "data": {"sites": 2, "studies": 16, "slices": 8, "matrix": 64},
    "model": {"preprocessing": {"rows": 32, "columns": 24, "spacing_mm": 6.0}},
    "rounds": 2,
    "local_epochs": 2,
    "comparison": {"strategies": ("fedavg", "flwr.serverapp.strategy:FedMedian"), "seeds": 1},
}


@pytest.mark.slow
def test_every_way_trains_on_the_same_patients_with_its_share_of_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = Console(file=io.StringIO(), width=120)
    found = compare(comparison_settings(SMALL), tmp_path / "out", 2, quiet)
    ways = found["ways"]
    assert list(ways) == ["fedavg", "FedMedian", "central", "central-total", "local-hospital-1", "local-hospital-2"]
    per_epoch = ways["local-hospital-1"]["steps"][0] / 4
    assert ways["fedavg"]["steps"] == [8 * per_epoch]
    filled_up = 2 * 4  # steps at most, one a site and epoch, whose second study is one of the first again
    in_all, in_sequence = ways["central-total"]["steps"][0], ways["central"]["steps"][0]
    assert 0 <= ways["fedavg"]["steps"][0] - in_all <= filled_up
    assert 0 <= ways["local-hospital-1"]["steps"][0] - in_sequence <= filled_up / 2
    assert in_all == 2 * in_sequence
    counts = [read_metrics(tmp_path / "out" / "runs" / f"{way}-seed-0")["sites"] for way in ("fedavg", "central")]
    studies = [sum(site["counts"]["train-studies"] for site in of.values()) for of in counts]
    assert studies[0] == studies[1]
    own, others = (found["hospitals"]["hospital-1"][of] for of in ("own", "others"))
    assert own["studies"] + others["studies"] == found["test"]["studies"]
    assert own["delta"] == pytest.approx(own["auc_first"][0] - own["auc_second"][0])
    trained = found["cross_site"]["trained"]
    assert list(trained) == ["local-hospital-1", "local-hospital-2", "fedavg", "FedMedian", "central", "central-total"]
    assert trained["local-hospital-1"]["auc"]["hospital-1"]["by_seed"] == own["auc_second"]
    assert trained["fedavg"]["auc"]["hospital-1"]["by_seed"] == own["auc_first"]

    (tmp_path / "out" / "runs" / "central-seed-0" / "metrics.json").unlink()
    kept = (tmp_path / "out" / "runs" / "fedavg-seed-0" / "metrics.json").stat().st_mtime_ns
    assert json.dumps(compare(comparison_settings(SMALL), tmp_path / "out", 1, quiet)) == json.dumps(found)
    assert (tmp_path / "out" / "runs" / "fedavg-seed-0" / "metrics.json").stat().st_mtime_ns == kept
    with pytest.raises(DataError, match="holds a run with other settings"):
        compare(comparison_settings({**SMALL, "rounds": 3}), tmp_path / "out", 1, quiet)

    page = page_html(found)
    assert page.count("<svg") == 3
    assert page.count('<td class="own"') == 2
    assert "Synthetic heads: fedavg reaches" in page
    print_comparison(found, tmp_path / "comparison.html")
    shown = capsys.readouterr().out
    assert "hospital-2 alone, on all others'" in shown


def test_mistakes_are_said_before_any_work() -> None:
    with pytest.raises(SettingsError, match="choose one of fedavg"):
        comparison_settings({"comparison": {"strategies": ("fedavgg",)}})
    with pytest.raises(SettingsError, match="name each strategy once"):
        comparison_settings({"comparison": {"strategies": ("fedavg", " fedavg")}})


def test_a_difference_that_does_not_exist_is_said_to_be_undefined() -> None:
    undefined = {"auc_first": [None], "auc_second": [None], "delta": None, "undefined": "no negative study among 4"}
    way = {"auc": [0.8], "steps": [10]}
    found = {
        "data": "cq500",
        "preset": "tiny",
        "rounds": 2,
        "local_epochs": 1,
        "seeds": 1,
        "reference": "fedavg",
        "test": {"studies": 4, "sites": 2},
        "ways": {"fedavg": way, "central": way, "central-total": way},
        "differences": {"central": undefined, "central-total": undefined},
        "hospitals": {"a": {"own": undefined, "others": undefined}},
        "cross_site": {
            "tested": {"a": {"positive": 4, "negative": 0}},
            "trained": {"fedavg": {"own": "", "auc": {"a": {"mean": None, "by_seed": [], "interval": None}}}},
        },
    }
    page = page_html(found)
    assert page.count("no negative study among 4") == 4
    assert "Synthetic" not in page
