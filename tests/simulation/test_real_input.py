"""A federation of real CT series, each a hospital of its own, from DICOM to the report.

Two of the hospitals stay out: one holds a phantom without tissue; of the other's only series without contrast there
is one slice, through the top of the skull. The files are other people's and never part of the project: point
BLOODNET_REAL_DATA at them. Labels are this test's own; CQ500-CT-310 was read as hemorrhage by three of three readers.
"""

import csv
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.image import imread
from rich.console import Console

from bloodnet_model.errors import UnusableSlice
from bloodnet_model.labels import CLASSES, SUBTYPES
from bloodnet_model.reasons import REASONS
from client.dicom import read_headers, read_slice_hu
from client.ledger import Ledger
from client.site_settings import read_site
from simulation.federation import simulate
from simulation.settings import simulation_settings

DATA = Path(os.environ.get("BLOODNET_REAL_DATA", "/nowhere"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="BLOODNET_REAL_DATA does not point at the real CT files"),
]

# name: (folders or files of DICOM, label of `any`, split, fewest slices)
HOSPITALS: Mapping[str, tuple[tuple[str, ...], int, str, int]] = {
    "ge-head": (("head-ct-series/ge-hispeed-human-tilt18.5",), 0, "train", 8),
    "philips-phantom": (
        (
            "head-ct-series/philips-phantom-5mm-UB",
            "head-ct-series/philips-phantom-2.5mm-tilt-18.5",
            "head-ct-series/philips-phantom-examsummary",
            "head-ct-series/philips-phantom-localizer",
        ),
        0,
        "validation",
        8,
    ),
    "cq500-ct-0": (("cq500/CQ500-CT-0",), 0, "test", 1),
    "cq500-ct-310": (("dicom-robustness/pydicom", "dicom-robustness/pydicom-data"), 1, "test", 1),
}
TAKING_PART = ("ge-head", "cq500-ct-310")


def files_of(name: str) -> list[Path]:
    pattern = "693_*" if name == "cq500-ct-310" else "**/*"
    folders = [DATA / folder for folder in HOSPITALS[name][0]]
    return sorted(path for folder in folders for path in folder.glob(pattern) if path.is_file())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One round over the four hospitals."""
    root = tmp_path_factory.mktemp("real")
    for name, (_, label, split, slices) in HOSPITALS.items():
        folder = root / "hospitals" / name
        folder.mkdir(parents=True)
        files = files_of(name)
        assert files
        (folder / "files.txt").write_text("".join(f"{path.resolve()}\n" for path in files))
        site = {"name": name, "dicom": ["files.txt"], "minimum_cohort": 1, "series": {"minimum_slices": slices}}
        (folder / "site.yaml").write_text(yaml.safe_dump(site))
        with (folder / "labels.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["study_instance_uid", *CLASSES, "split"])
            subtypes = [""] * len(SUBTYPES)
            rows.writerows([uid, label, *subtypes, split] for uid in sorted(studies_of(files)))
    data = {"sources": {"folder": str(root / "hospitals")}, "central": False}
    settings = simulation_settings({"rounds": 1, "local_epochs": 1, "data": data})
    simulate(settings, root / "run", 2, Console(quiet=True))
    return root


def studies_of(files: list[Path]) -> set[str]:
    found = set()
    for path in files:
        try:
            found.add(read_headers(path)[0].study_uid)
        except UnusableSlice:
            continue
    return found


def test_every_readable_slice_is_indexed_and_the_rest_is_named(run: Path) -> None:
    for name in HOSPITALS:
        site = read_site(run / "hospitals" / name)
        ledger = list(Ledger((site.ledger,)))
        named = {Path(entry.item).resolve() for entry in ledger if entry.kind == "file"}
        assert named == {path.resolve() for path in files_of(name)}
        assert all(entry.reason in REASONS for entry in ledger if entry.status != "used")
        studies = {entry.reason for entry in ledger if entry.kind == "study"}
        assert studies == ({""} if name in TAKING_PART else {"not-a-head"}), name


def test_what_is_used_and_why_not_the_rest(run: Path) -> None:
    def reasons(name: str) -> dict[str, int]:
        site = read_site(run / "hospitals" / name)
        return Ledger((site.ledger,)).counts()

    assert reasons("ge-head")["file-used"] == 28
    phantom = reasons("philips-phantom")
    assert phantom["file-not-greyscale"] + phantom.get("file-secondary", 0) >= 3  # the exam summary's colour pages
    assert phantom["series-localizer"] >= 1
    assert reasons("cq500-ct-0")["series-contrast"] == 1
    assert reasons("cq500-ct-310")["file-used"] >= 1


def test_values_agree_with_the_inventory() -> None:
    checked = 0
    with (DATA / "DICOM_INVENTORY.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    for name in HOSPITALS:
        for path in files_of(name):
            row = rows[str(path.relative_to(DATA))]
            if row["decoded"] != "yes" or row["shape"].count("x") != 1:
                continue
            slice_hu = read_slice_hu(path)
            assert (slice_hu.min(), slice_hu.max()) == (float(row["hu_min"]), float(row["hu_max"])), path.name
            checked += 1
    assert checked >= 28 + 28 + 54 + 52 + 3


def test_a_round_trained_and_the_report_says_what_is_undefined(run: Path) -> None:
    report = (run / "run" / "report.html").read_text()
    assert (run / "run" / "model.safetensors").exists()
    metrics = yaml.safe_load((run / "run" / "metrics.json").read_text())
    sites = metrics["rounds"][0]["sites"]
    assert {name for name, entry in sites.items() if entry["status"] == "ok"} == {"ge-head"}
    assert np.isfinite(sites["ge-head"]["loss"])
    assert set(metrics["sites"]) == set(TAKING_PART), "the others said low-coverage and stayed out"
    record = metrics["test"]["pooled"]["any"]
    assert record["studies"] == 1
    assert record["auc"] is None
    assert record["undefined"]
    assert record["undefined"] in report
    for name in TAKING_PART:
        picture = imread(read_site(run / "hospitals" / name).preview)
        assert (picture[..., :3] > 0.5).mean() > 0.002, f"{name}: the contact sheet is black"


def test_no_identifier_reached_the_coordinators_files(run: Path) -> None:
    uids = set().union(*(studies_of(files_of(name)) for name in HOSPITALS))
    for path in (run / "run").rglob("*"):
        if path.suffix in {".html", ".json", ".jsonl"}:
            text = path.read_text()
            assert not any(uid in text for uid in uids), path.name
            assert "CT000000.dcm" not in text
