"""Whole federations over the local engine: bytes, partitions, strategies, and sites in trouble."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from bloodnet_model.errors import DataError
from bloodnet_model.splits import DEALT
from bloodnet_model.weights import load_network
from client.dataset import load_site, prepare
from client.site_settings import read_site
from simulation.catalogue import CataloguedStudy, catalogue
from simulation.deals import Dealing
from simulation.federation import simulate
from simulation.partition import find_sites, place, write_sites
from simulation.phantom import PhantomSettings, write_federation
from simulation.settings import read_config, simulation_settings
from tests.conftest import DrawHospitals

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def hospitals(draw_hospitals: DrawHospitals, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "hospitals"
    draw_hospitals(folder, 3)
    return folder


def run(hospitals: Path, out: Path, workers: int = 1, **overrides: Any) -> dict[str, Any]:
    data = {"sources": {"folder": str(hospitals)}, "central": False, **overrides.pop("data", {})}
    raw = {"rounds": 2, "local_epochs": 1, "data": data, **overrides}
    return simulate(simulation_settings(raw), out, workers, QUIET)


def model(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_same_settings_same_bytes_whatever_the_workers(hospitals: Path, tmp_path: Path) -> None:
    run(hospitals, tmp_path / "one", workers=1)
    run(hospitals, tmp_path / "three", workers=3)
    repeated = simulation_settings(read_config(tmp_path / "one" / "config.yaml"))
    simulate(repeated, tmp_path / "again", 2, QUIET)
    assert model(tmp_path / "one") == model(tmp_path / "three") == model(tmp_path / "again")
    run(hospitals, tmp_path / "other", seed=1)
    assert model(tmp_path / "other") != model(tmp_path / "one")


@pytest.mark.slow
def test_synthetic_test_sets_are_drawn_apart_and_repeated_from_the_table(hospitals: Path, tmp_path: Path) -> None:
    synthetic = {"sites": 2, "studies": 12, "slices": 8, "matrix": 64, "central": False, "held_out": {"synthetic": ""}}

    def held_out(out: str, **data: Any) -> dict[str, Any]:
        raw = {"rounds": 1, "local_epochs": 1, "data": {**synthetic, **data}}
        return simulate(simulation_settings(raw), tmp_path / out, 2, QUIET)

    metrics = held_out("a")
    tested = {name: evaluation["pooled"]["any"] for name, evaluation in metrics["held_out"].items()}
    assert {name: (record["studies"], record["positives"]) for name, record in tested.items()} == {
        "test-random": (12, 2),  # 16 % and 67 % with blood
        "test-enriched": (12, 8),
    }
    assert set(metrics["rounds"][0]["sites"]) == {"hospital-1", "hospital-2"}
    with (tmp_path / "a" / "partition.csv").open() as file:
        places = {(row["site"], row["split"]) for row in csv.DictReader(file)}
    assert {place for place in places if place[0] in {"hospital-3", "hospital-4"}} == {
        ("hospital-3", "test-random"),
        ("hospital-4", "test-enriched"),
    }
    again = held_out("b", partition=str(tmp_path / "a" / "partition.csv"))
    assert again["held_out"] == metrics["held_out"]
    table = (tmp_path / "a" / "partition.csv").read_text()
    assert (tmp_path / "b" / "partition.csv").read_text() == table
    trainers = "".join(
        line for line in table.splitlines(keepends=True) if not line.startswith(("hospital-3", "hospital-4"))
    )
    (tmp_path / "trainers.csv").write_text(trainers)
    held_out("c", partition=str(tmp_path / "trainers.csv"))
    assert (tmp_path / "c" / "partition.csv").read_text() == table


@pytest.mark.slow
def test_the_table_tells_the_studies_that_were_used(hospitals: Path, tmp_path: Path) -> None:
    shutil.copytree(hospitals, tmp_path / "hospitals", ignore=shutil.ignore_patterns("cache"))
    folder = tmp_path / "hospitals" / "hospital-1" / "dicom" / "study-0001"
    for path in folder.iterdir():  # headers stay, pixels go
        path.write_bytes(path.read_bytes()[:-2000])
    metrics = run(tmp_path / "hospitals", tmp_path / "run")
    assert metrics["partition"]["hospital-1"]["studies"] == 11
    with (tmp_path / "run" / "partition.csv").open() as file:
        told = Counter((row["site"], row["split"]) for row in csv.DictReader(file))
    for site, said in metrics["sites"].items():
        for split in DEALT:
            assert told[site, split] == said["counts"][f"{split}-studies"], (site, split)


@pytest.mark.slow
def test_the_run_folder_holds_what_it_should(hospitals: Path, tmp_path: Path) -> None:
    metrics = run(hospitals, tmp_path / "run", data={"central": True})
    out = tmp_path / "run"
    for name in ("config.yaml", "rounds.jsonl", "metrics.json", "model.safetensors", "report.html"):
        assert (out / name).stat().st_size > 0
    assert len((out / "rounds.jsonl").read_text().splitlines()) == 2
    assert list(metrics["sites"]) == ["hospital-1", "hospital-2", "hospital-3"]
    record = metrics["test"]["pooled"]["any"]
    assert record["studies"] == sum(site["any"]["studies"] for site in metrics["test"]["sites"].values())
    assert metrics["baselines"]["central"]["test"]["pooled"]["any"]["studies"] == record["studies"]
    network, settings = load_network(out / "model.safetensors")
    assert settings.preset == "tiny"
    assert network.link == "dependent"


@pytest.mark.slow
def test_drawn_heads_in_a_folder_are_called_synthetic(hospitals: Path, tmp_path: Path) -> None:
    metrics = run(hospitals, tmp_path / "run", rounds=1)
    assert metrics["run"]["data"] == "synthetic"
    assert "<title>Synthetic heads: pooled test AUC" in (tmp_path / "run" / "report.html").read_text()
    assert metrics["partition"]["hospital-2"]["studies"] == 12


@pytest.mark.slow
def test_strategies_differ(hospitals: Path, tmp_path: Path) -> None:
    for name in ("fedavg", "fedprox", "flwr.serverapp.strategy:FedMedian"):
        run(hospitals, tmp_path / name.rpartition(":")[2], strategy=name, proximal_mu=1.0, rounds=1)
    assert len({model(tmp_path / name) for name in ("fedavg", "fedprox", "FedMedian")}) == 3


def splits(folders: list[Path]) -> list[Mapping[str, int]]:
    grid = simulation_settings({}).run.model.preprocessing
    return [prepare(load_site(folder), grid).counts() for folder in folders]


def studies_of(folders: list[Path]) -> list[CataloguedStudy]:
    grid = simulation_settings({}).run.model.preprocessing
    return [study for folder in folders for study in catalogue(read_site(folder), grid)]


def deal_out(found: list[Path], sites: int, out: Path, partition: Dealing = "iid", seed: int = 0) -> list[Path]:
    placed = place(studies_of(found), sites, partition, seed, alpha=0.5, min_studies=1)
    return write_sites(placed, [read_site(folder) for folder in found], out)


def total(sites: list[Mapping[str, int]], kind: str) -> int:
    return sum(counts[f"{split}-{kind}"] for counts in sites for split in ("train", "validation", "test"))


def test_iid_deals_every_study_once_and_no_patient_twice(hospitals: Path, tmp_path: Path) -> None:
    found = find_sites(hospitals)
    dealt = deal_out(found, 4, tmp_path / "sites")
    before, after = splits(found), splits(dealt)
    for kind in ("studies", "positive"):
        total = [
            sum(counts[f"{split}-{kind}"] for counts in sites for split in ("train", "validation", "test"))
            for sites in (before, after)
        ]
        assert total[0] == total[1] > 0
    studies = [set(_column(folder / "labels.csv", "study_instance_uid")) for folder in dealt]
    assert sum(map(len, studies)) == len(set().union(*studies))
    sizes = [len(found) for found in studies]
    assert max(sizes) - min(sizes) <= 4  # by patient: some have two studies


def test_the_deal_depends_on_its_seed_alone(hospitals: Path, tmp_path: Path) -> None:
    tables = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        folder = deal_out(find_sites(hospitals), 2, tmp_path / name, seed=seed)[0]
        tables.append(set(_column(folder / "labels.csv", "study_instance_uid")))
    assert tables[0] == tables[1] != tables[2]


def test_a_study_at_two_sites_ends_the_run_before_it_begins(hospitals: Path, tmp_path: Path) -> None:
    for name in ("hospital-1", "twin"):
        shutil.copytree(hospitals / "hospital-1", tmp_path / "sites" / name)
    settings = tmp_path / "sites" / "twin" / "site.yaml"
    settings.write_text(settings.read_text().replace("name: hospital-1", "name: twin"))
    with pytest.raises(DataError, match=r"study [0-9.]+ is at hospital-1 \(\w+\) and twin"):
        run(tmp_path / "sites", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_study_that_is_trained_on_is_not_held_out(tmp_path: Path) -> None:
    drawn = PhantomSettings(hospitals=1, studies=12, slices=8, matrix=64, first=2, prevalence=0.16)
    write_federation(tmp_path / "sites", drawn, 1, lambda: None)  # the very heads that will be drawn to be held out
    data = {"studies": 12, "slices": 8, "matrix": 64, "held_out": {"synthetic": ""}}
    with pytest.raises(DataError, match=r"is at hospital-2 \(\w+\) and hospital-2 \(test-random\)"):
        run(tmp_path / "sites", tmp_path / "run", data=data)


@pytest.mark.slow
def test_one_hospitals_trouble_is_not_the_runs(hospitals: Path, tmp_path: Path) -> None:
    broken = tmp_path / "hospitals" / "hospital-0"
    broken.mkdir(parents=True)
    for site in find_sites(hospitals):
        (broken.parent / site.name).symlink_to(site)
    (broken / "site.yaml").write_text("name: hospital-0\ndicom: [secret-folder]\n")
    metrics = run(broken.parent, tmp_path / "run", rounds=1, data={"central": True})
    assert list(metrics["sites"]) == ["hospital-1", "hospital-2", "hospital-3"]
    assert set(metrics["not_admitted"].values()) == {"bad-data"}
    tested = [metrics["test"], metrics["baselines"]["central"]["test"]]
    assert tested[0]["pooled"]["any"]["studies"] == tested[1]["pooled"]["any"]["studies"] > 0
    files = [path for path in (tmp_path / "run").iterdir() if path.is_file() and path.suffix != ".safetensors"]
    written = "".join(path.read_text() for path in files)
    assert "secret-folder" not in written


@pytest.mark.slow
def test_a_site_of_one_class_is_said_to_have_no_auc(hospitals: Path, tmp_path: Path) -> None:
    site = tmp_path / "one-class" / "hospital-1"
    site.mkdir(parents=True)
    source = find_sites(hospitals)[0]
    with (source / "labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["any"] == "0"]
    with (site / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    settings = {"name": "hospital-1", "dicom": [str((source / "dicom").resolve())], "minimum_cohort": 1}
    (site / "site.yaml").write_text(yaml.safe_dump(settings))
    metrics = run(site, tmp_path / "run", rounds=1)
    record = metrics["test"]["pooled"]["any"]
    assert record["auc"] is None
    assert "positive" in record["undefined"]
    assert record["undefined"] in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_small_cohorts_give_no_histogram(hospitals: Path, tmp_path: Path) -> None:
    site = tmp_path / "hospitals" / "hospital-1"
    site.mkdir(parents=True)
    source = find_sites(hospitals)[0]
    table = (source / "labels.csv").read_text().replace("masks/", f"{source.resolve()}/masks/")
    (site / "labels.csv").write_text(table)
    settings = {"name": "hospital-1", "dicom": [str((source / "dicom").resolve())], "minimum_cohort": 10}
    (site / "site.yaml").write_text(yaml.safe_dump(settings))
    metrics = run(site.parent, tmp_path / "run", rounds=1)
    assert metrics["test"]["sites"]["hospital-1"] == {"withheld": "below-minimum-cohort"}
    assert metrics["test"]["pooled"]["any"]["studies"] == 0


@pytest.mark.slow
def test_the_central_run_sees_the_same_test_patients(hospitals: Path, tmp_path: Path) -> None:
    run(hospitals, tmp_path / "run", rounds=1, data={"central": True})
    central = json.loads((tmp_path / "run" / "baselines" / "central" / "run" / "metrics.json").read_text())
    federated = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for kind in ("train-studies", "test-positive"):
        assert central["sites"]["central"]["counts"][kind] == sum(
            s["counts"][kind] for s in federated["sites"].values()
        )


def test_wrong_number_of_sites_is_said(hospitals: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 3 sites, not 7"):
        run(hospitals, tmp_path / "run", data={"sites": 7})
    with pytest.raises(DataError, match="patients cannot be dealt to 500 sites"):
        run(hospitals, tmp_path / "run2", data={"sites": 500, "partition": "iid"})


def _column(path: Path, name: str) -> list[str]:
    with path.open(newline="") as file:
        return [row[name] for row in csv.DictReader(file) if row[name]]
