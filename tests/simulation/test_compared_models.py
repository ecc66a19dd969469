"""Models compared within a federation, over the real messages, against the same arithmetic in one place."""

from pathlib import Path

import pytest
from rich.console import Console

from bloodnet_model.errors import WeightsError
from bloodnet_model.run_metrics import PairedRecord, RunMetrics, load_metrics
from simulation.federation import simulate
from simulation.paired_comparison import compared, scored_sites
from simulation.phantom import PhantomSettings, write_federation
from simulation.settings import SimulationSettings, simulation_settings

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "hospitals"
    settings = PhantomSettings(hospitals=3, studies=16, slices=8, matrix=64, seed=5)
    write_federation(folder, settings, 1, lambda: None)
    return folder


def settings_of(hospitals: Path, rounds: int, central: bool = True, **evaluation: object) -> SimulationSettings:
    data = {"sources": {"folder": str(hospitals)}, "central": central}
    return simulation_settings({"rounds": rounds, "local_epochs": 1, "data": data, "evaluation": evaluation})


@pytest.fixture(scope="module")
def runs(hospitals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one`, and `two`, which is compared with it and with much else."""
    out = tmp_path_factory.mktemp("runs")
    simulate(settings_of(hospitals, 1, central=False), out / "one", 2, QUIET)
    with_others = ["first", "previous-round", str(out / "one" / "model.safetensors")]
    simulate(settings_of(hospitals, 2, alone=True, compare_with=with_others), out / "two", 2, QUIET)
    return out


@pytest.fixture(scope="module")
def two(runs: Path) -> RunMetrics:
    return load_metrics(runs / "two")


def paired(of: RunMetrics, second: str) -> PairedRecord:
    (record,) = [entry for entry in of.comparisons if entry.second.endswith(second) and entry.patients == "all"]
    return record


@pytest.mark.slow
def test_every_model_asked_for_is_compared_on_all_test_patients(two: RunMetrics) -> None:
    assert two.test is not None
    auc = two.test.any_hemorrhage.auc
    on_all = [entry for entry in two.comparisons if entry.patients == "all"]
    assert [Path(entry.second).name for entry in on_all] == ["model.safetensors", "first", "previous-round", "central"]
    for entry in on_all:
        assert (entry.first, entry.studies, entry.auc_first) == ("federated", 12, auc)
        assert entry.auc_first is not None
        assert entry.auc_second is not None
        assert entry.delta == pytest.approx(entry.auc_first - entry.auc_second, abs=1e-12)
    assert paired(two, "central").auc_second == two.baselines["central"].test.any_hemorrhage.auc


@pytest.mark.slow
def test_over_flower_as_in_one_place(runs: Path, hospitals: Path, two: RunMetrics) -> None:
    models = {"federated": runs / "two" / "model.safetensors", "other": runs / "one" / "model.safetensors"}
    folders = sorted(hospitals.glob("hospital-*"))
    grid = settings_of(hospitals, 1).run.model.preprocessing
    sites = scored_sites(models, folders, {}, "test", grid, 1)
    direct = compared(sites, "federated", "other", {name: [name] for name in models}, seed=0).difference
    record = paired(two, "one/model.safetensors")
    assert record.delta == direct.delta
    assert (record.low, record.high) == direct.patient_interval()


@pytest.mark.slow
def test_every_hospital_is_trained_alone_and_tested_everywhere(two: RunMetrics) -> None:
    assert two.cross_site is not None
    names = [f"hospital-{number}" for number in (1, 2, 3)]
    assert list(two.cross_site.rows) == ["federated", *(f"{name} alone" for name in names)]
    assert all(list(row) == names for row in two.cross_site.rows.values())
    patients = [(entry.second, entry.patients) for entry in two.comparisons if entry.patients != "all"]
    assert patients == [(f"{name} alone", f"{words}{name}") for name in names for words in ("", "others than ")]


@pytest.mark.slow
def test_what_is_chosen_on_validation_is_held_to_test(two: RunMetrics) -> None:
    assert two.test is not None
    assert two.validation is not None
    for point in two.test.operating:
        assert point.chosen_on.sensitivity.of == two.validation.any_hemorrhage.positives
        assert point.pooled.sensitivity.of == two.test.any_hemorrhage.positives
        assert sum(rates.sensitivity.of for rates in point.sites.values()) == two.test.any_hemorrhage.positives
        assert [at.prevalence for at in point.at_prevalence] == [0.05, 0.16]
    assert {point.target for point in two.test.operating} == {"sensitivity", "specificity"}
    assert two.test.segmentation is not None
    assert two.test.segmentation.threshold == two.test.operating[0].threshold
    assert (two.test.segmentation.called or 0) + (two.test.segmentation.not_called or 0) == 12
    assert two.test.calibration is not None
    assert sum(row.studies for row in two.test.calibration.as_scored.bins) == 12
    assert len(two.test.groups) == 3  # each hospital has its own scanner


def test_a_model_that_cannot_be_compared_is_said_before_anything_is_done(hospitals: Path, tmp_path: Path) -> None:
    raw = settings_of(hospitals, 1, compare_with=[str(tmp_path / "none.safetensors")])
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        simulate(raw, tmp_path / "run", 1, QUIET)
    assert not (tmp_path / "run").exists()
