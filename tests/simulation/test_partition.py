"""The partition's table: written, read back, and refused where it leaks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bloodnet_model.errors import DataError
from client.dataset import load_site, prepare
from client.site_settings import read_site
from simulation.catalogue import CataloguedStudy, catalogue
from simulation.deals import Dealing
from simulation.partition import as_found, find_sites, place, write_sites
from simulation.placement import PlacedStudy, read_table, refuse_leakage, write_table
from simulation.settings import simulation_settings
from tests.conftest import DrawHospitals

GRID = simulation_settings({}).run.model.preprocessing


@pytest.fixture(scope="module")
def found(draw_hospitals: DrawHospitals, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("data") / "hospitals"
    return draw_hospitals(folder, 3)


@pytest.fixture(scope="module")
def studies(found: list[Path]) -> list[CataloguedStudy]:
    return [study for folder in found for study in catalogue(read_site(folder), GRID)]


def placed_by(studies: Sequence[CataloguedStudy], partition: Dealing, sites: int, seed: int = 0) -> list[PlacedStudy]:
    return place(studies, sites, partition, seed, alpha=0.5, min_studies=1)


def test_what_a_catalogue_knows(studies: list[CataloguedStudy]) -> None:
    assert len(studies) == 36
    assert len({study.scanner for study in studies}) == 3
    assert len({study.pixels for study in studies}) == 36
    for study in studies:
        assert ("mask" in study.kinds) is (study.hemorrhage == 1)
        assert len(study.files) == 8  # without the localizer


@pytest.mark.parametrize("partition", ["iid", "dirichlet", "quantity", "label-kind", "scanner"])
def test_a_table_repeats_its_partition(
    partition: Dealing, found: list[Path], studies: list[CataloguedStudy], tmp_path: Path
) -> None:
    placed = placed_by(studies, partition, 3)
    refuse_leakage(placed)
    write_table(tmp_path / "partition.csv", placed)
    again = read_table(tmp_path / "partition.csv", studies)
    assert set(again) == set(placed)
    assert {at.study.uid for at in placed} == {study.uid for study in studies}
    assert len(placed) == len(studies)
    write_table(tmp_path / "again.csv", again)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "partition.csv").read_bytes()
    sites = write_sites(placed, [read_site(folder) for folder in found], tmp_path / "sites")
    for folder in sites:
        data = prepare(load_site(folder), GRID)
        for split in ("train", "validation", "test"):
            here = [at for at in placed if (at.site, at.split) == (folder.name, split)]
            assert len(data.studies(split)) == len(here)
            assert data.counts()[f"{split}-positive"] == sum(at.study.hemorrhage == 1 for at in here)


def test_label_kind_gives_masks_to_every_other_site(
    found: list[Path], studies: list[CataloguedStudy], tmp_path: Path
) -> None:
    placed = placed_by(studies, "label-kind", 2)
    first, second = write_sites(placed, [read_site(folder) for folder in found], tmp_path / "sites")
    drawn = [
        sum(int(study.mask_bits.any()) for study in prepare(load_site(folder), GRID).studies("train"))
        for folder in (first, second)
    ]
    assert drawn[0] > 0
    assert drawn[1] == 0
    assert "masks" not in (second / "labels.csv").read_text()


def test_the_natural_table_tells_the_sites_own_splits(found: list[Path], studies: list[CataloguedStudy]) -> None:
    placed = as_found(studies)
    for folder in found:
        counts = prepare(load_site(folder), GRID).counts()
        here = [at for at in placed if at.site == folder.name]
        for split in ("train", "validation", "test"):
            assert counts[f"{split}-studies"] == sum(at.split == split for at in here)


def elsewhere(at: PlacedStudy, **changes: object) -> PlacedStudy:
    fields = {"uid": "9.9", "patient": "someone", "pixels": "other", **changes}
    return PlacedStudy("site-x", "train", replace(at.study, **fields), at.kinds)  # type: ignore[arg-type]


def test_leakage_names_the_pair(studies: list[CataloguedStudy]) -> None:
    placed = placed_by(studies, "iid", 3)
    at = placed[0]
    refuse_leakage([*placed, elsewhere(at)])
    where = rf"at {at.site} \({at.split}\) and site-x \(train\)"
    with pytest.raises(DataError, match=f"patient {at.study.patient} is {where}"):
        refuse_leakage([*placed, elsewhere(at, patient=at.study.patient)])
    with pytest.raises(DataError, match=f"study {at.study.uid} is {where}"):
        refuse_leakage([*placed, elsewhere(at, uid=at.study.uid)])
    with pytest.raises(DataError, match=f"studies {at.study.uid} and 9.9 hold the same pixels and are {where}"):
        refuse_leakage([*placed, elsewhere(at, pixels=at.study.pixels)])
    other = next(split for split in ("train", "test") if split != at.split)
    with pytest.raises(DataError, match=f"patient {at.study.patient} is"):
        refuse_leakage([*placed, PlacedStudy(at.site, other, replace(at.study, uid="9.9"), at.kinds)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("site,split,study,labels\n../a,train,{uid},study\n", "line 2 has site '../a'"),
        ("site,split,study,labels\na,train,{uid},study\nb,train,{uid},study\n", "lines 2 and 3 name the same study"),
        ("site,split,study\n", "column 'labels' is missing"),
        ("site,split,study,labels\n", "names no study"),
        ("site,split,study,labels\na,train,1.2.3,study\n", "line 2 names study 1.2.3, which the data does not hold"),
        ("site,split,study,labels\na,trian,{uid},study\n", "line 2 has split 'trian'; write one of train"),
        ("site,split,study,labels\na,train,{uid},voxel\n", "line 2 has labels 'voxel'; of this study there are: study"),
    ],
)
def test_a_table_that_cannot_be_repeated(
    text: str, sentence: str, studies: list[CataloguedStudy], tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text(text.format(uid=studies[0].uid))
    with pytest.raises(DataError, match=sentence):
        read_table(tmp_path / "p.csv", studies)


def test_sites_are_found_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2):
        (tmp_path / f"hospital-{number}").mkdir()
        (tmp_path / f"hospital-{number}" / "site.yaml").touch()
    assert [folder.name for folder in find_sites(tmp_path)] == ["hospital-2", "hospital-10"]
