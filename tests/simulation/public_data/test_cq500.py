"""CQ500 as its zip files unpack, and its published tables."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml
from pydicom.uid import JPEGLosslessSV1
from rich.console import Console

from bloodnet_model.errors import DataError
from bloodnet_model.settings import ModelSettings
from client.dataset import load_site, prepare
from client.labels import read_labels
from simulation.federation import simulate
from simulation.phantom import PhantomSettings, write_federation
from simulation.public_data.cq500 import FINDINGS, READERS, sites
from simulation.settings import simulation_settings
from tests.client.dicom_factory import head_hu
from tests.client.dicom_syntaxes import write_compressed

REAL = os.environ.get("BLOODNET_REAL_DATA")
VOTES = {  # (batch, finding: votes of R1, R2, R3)
    0: ("B1", {"ICH": "111", "SDH": "110", "IPH": "001"}),
    1: ("B2", {"ICH": "011", "IPH": "100", "SAH": "010"}),  # no subtype has a majority
    2: ("B1", {}),
}


def write_scan(folder: Path, number: int) -> None:
    for series, name in ((1, "CT 5mm"), (2, "CT POST CONTRAST 5MM STD")):
        for index, plane in enumerate(head_hu(number + 1)):
            path = folder / "Unknown Study" / name / f"CT{index:06d}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_compressed(
                path,
                plane,
                JPEGLosslessSV1,
                index=index,
                study=number + 1,
                series=series,
                patient=f"CQ500-CT-{number}",
                SeriesDescription=name.removeprefix("CT "),
                AccessionNumber=None,
            )


def write_reads(path: Path, numbers: list[int]) -> None:
    columns = [f"{reader}:{finding}" for reader in READERS for finding in FINDINGS]
    lines = ["name,Category," + ",".join(columns)]
    for number in numbers:
        batch, votes = VOTES[number]
        cells = [votes.get(finding, "000")[r] for r in range(3) for finding in FINDINGS]
        lines.append(f"CQ500-CT-{number},{batch}," + ",".join(cells))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "cq500"
    write_scan(folder / "CQ500-CT-0", 0)
    write_scan(folder / "CQ500CT1 CQ500CT1", 1)
    write_scan(folder / "CQ500-CT-2", 2)
    write_reads(folder / "reads.csv", [2, 0, 1])
    return folder


def test_batches_become_sites_with_majority_labels(data: Path, tmp_path: Path, small: ModelSettings) -> None:
    b1, b2 = sites(data, tmp_path / "sites", lambda *_: None)
    assert (b1.name, b2.name) == ("cq500-b1", "cq500-b2")
    rows = [row.labels for row in read_labels(b1 / "labels.csv").rows.values()]
    assert rows == [(1, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0)]
    assert [row.labels for row in read_labels(b2 / "labels.csv").rows.values()] == [(1, -1, -1, -1, -1, -1)]
    for folder, studies in ((b1, 2), (b2, 1)):
        counts = prepare(load_site(folder), small.preprocessing).counts()
        assert sum(counts[f"{split}-studies"] for split in ("train", "validation", "test")) == studies


@pytest.mark.slow
def test_batches_are_test_sets_for_others(data: Path, tmp_path: Path) -> None:
    phantom = PhantomSettings(hospitals=1, studies=12, slices=8, matrix=64)
    write_federation(tmp_path / "phantom", phantom, 1, lambda: None)
    held = {"sources": {"folder": str(tmp_path / "phantom")}, "held_out": {"cq500": str(data)}}
    raw = {"rounds": 1, "local_epochs": 1, "data": {**held, "partition": "iid", "sites": 2}}
    metrics = simulate(simulation_settings(raw), tmp_path / "runs" / "a", 2, Console(quiet=True))
    assert metrics["run"]["data"] == "synthetic", "some of the heads are drawn"
    assert list(metrics["sites"]) == ["cq500-b1", "cq500-b2", "site-1", "site-2"]
    assert set(metrics["rounds"][0]["sites"]) == {"site-1", "site-2"}
    shown = {name: evaluation["pooled"]["any"]["studies"] for name, evaluation in metrics["held_out"].items()}
    assert shown == {"test-random": 2, "test-enriched": 1}
    assert {name: share["tests"] for name, share in metrics["partition"].items() if share["tests"]} == {
        "cq500-b1": "test-random",
        "cq500-b2": "test-enriched",
    }
    assert metrics["baselines"]["central"]["held_out"].keys() == metrics["held_out"].keys()


def test_two_folders_of_one_scan(data: Path, tmp_path: Path) -> None:
    write_scan(data / "CQ500CT2 CQ500CT2", 2)
    with pytest.raises(DataError, match="holds the same scan as CQ500-CT-2"):
        sites(data, tmp_path / "sites", lambda *_: None)


def test_half_a_download_and_other_folders(data: Path, tmp_path: Path) -> None:
    write_scan(data / "CQ500-CT-7", 3)
    with pytest.raises(DataError, match=r"reads\.csv has no row CQ500-CT-7"):
        sites(data, tmp_path / "sites", lambda *_: None)
    shutil.rmtree(data / "CQ500-CT-7")
    shutil.rmtree(data / "CQ500-CT-2")
    with pytest.raises(DataError, match="1 of 3 scans are not there, CQ500-CT-2 among them; finish the download"):
        sites(data, tmp_path / "sites", lambda *_: None)
    (data / "CQ500-CT-2").mkdir()
    with pytest.raises(DataError, match="CQ500-CT-2: holds no CT slice; unpack its zip file anew"):
        sites(data, tmp_path / "sites", lambda *_: None)
    (data / "reads.csv").write_text("name,R1:ICH\nCQ500-CT-0,1\n")
    with pytest.raises(DataError, match="column 'Category' is missing"):
        sites(data, tmp_path / "sites", lambda *_: None)


@pytest.mark.skipif(REAL is None, reason="BLOODNET_REAL_DATA is not set")
def test_the_published_tables_counts(tmp_path: Path) -> None:
    """All 491 rows of the real table; every scan's folder holds one real slice, under a study of its own."""
    data = tmp_path / "cq500"
    data.mkdir()
    shutil.copy(Path(str(REAL)) / "cq500" / "reads.csv", data)
    for number in range(491):
        plane = head_hu()[0]
        path = data / f"CQ500-CT-{number}" / "Unknown Study" / "CT Plain" / "CT000000.dcm"
        path.parent.mkdir(parents=True)
        write_compressed(path, plane, JPEGLosslessSV1, study=number + 1, patient=f"CQ500-CT-{number}")
    counted: Counter[str] = Counter()
    unsaid = 0
    for folder in sites(data, tmp_path / "sites", lambda *_: None):
        labels = [row.labels for row in read_labels(folder / "labels.csv").rows.values()]
        counted[folder.name] = len(labels)
        counted[f"{folder.name}-positive"] = sum(label[0] for label in labels)
        for j, name in enumerate(("ICH", "EDH", "IPH", "IVH", "SAH", "SDH")):
            counted[name] += sum(label[j] == 1 for label in labels)
        unsaid += sum(-1 in label for label in labels)
    assert {name: counted[name] for name in FINDINGS} == {
        "ICH": 205,
        "IPH": 134,
        "IVH": 28,
        "SDH": 53,
        "EDH": 13,
        "SAH": 60,
    }
    assert unsaid == 6
    assert [counted[name] for name in ("cq500-b1", "cq500-b1-positive")] == [214, 35]
    assert [counted[name] for name in ("cq500-b2", "cq500-b2-positive")] == [277, 170]


@pytest.mark.skipif(REAL is None, reason="BLOODNET_REAL_DATA is not set")
def test_a_real_scan_is_found_under_its_name(tmp_path: Path) -> None:
    data = tmp_path / "cq500"
    data.mkdir()
    (data / "CQ500-CT-0").symlink_to(Path(str(REAL)) / "cq500" / "CQ500-CT-0")
    write_reads(data / "reads.csv", [0])
    (folder,) = sites(data, tmp_path / "sites", lambda *_: None)
    (row,) = read_labels(folder / "labels.csv").rows.values()
    assert row.key == ("study_instance_uid", "1.2.276.0.7230010.3.1.2.296485376.1.1521714307.2031999")
    assert yaml.safe_load((folder / "site.yaml").read_text())["dicom"] == [str((data / "CQ500-CT-0").resolve())]
