"""From a site's folder to its studies."""

import csv
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import client.dataset
import client.index
import client.preparation
import client.refresh
from bloodnet_model.errors import DataError, SettingsError
from bloodnet_model.settings import ModelSettings, model_settings
from bloodnet_model.splits import DEALT
from bloodnet_model.study import Study
from client.console import print_index
from client.dataset import SPLITS, SiteData, load_site, prepare
from client.ledger import Coverage, Entry
from client.preparation import Examined, Task
from client.store import key_of
from tests.client.dicom_factory import head_hu, uid, write_labels, write_mask, write_series, write_site, write_slice

ONE = {1: 1}


def prepared(folder: Path, small: ModelSettings) -> SiteData:
    return prepare(load_site(folder), small.preprocessing)


def only_study(data: SiteData) -> Study:
    (study,) = (study for split in SPLITS for study in data.studies(split))
    return study


def lines(data: SiteData) -> dict[tuple[str, str], Entry]:
    """The ledger by kind and item, after checking that nothing has two lines."""
    entries = list(data.ledger())
    found: dict[tuple[str, str], Entry] = {(entry.kind, entry.item): entry for entry in entries}
    assert len(found) == len(entries)
    return found


def test_a_study_as_the_network_sees_it(tmp_path: Path, small: ModelSettings) -> None:
    study = only_study(prepared(write_site(tmp_path, ONE), small))
    head = head_hu()[:, :, 2:26]  # the small grid's 32 x 24 pixels of 6 mm about the skull's middle
    brain = np.rint(np.clip(head, 0, 80) * (255 / 80)).astype(int)
    assert study.windows.shape == (10, 2, 32, 24)
    assert np.abs(study.windows[:, 0] - brain).max() <= 1
    assert_array_equal(study.study_labels, [1, -1, -1, -1, -1, -1])
    assert_array_equal(study.slice_labels, np.full((10, 6), -1))
    assert not study.mask_known.any()
    assert study.mask_bits.shape == (10, 16, 12)
    assert study.slice_mm == 5.0


def test_a_negative_study_is_an_exact_empty_mask(tmp_path: Path, small: ModelSettings) -> None:
    study = only_study(prepared(write_site(tmp_path, {1: 0}), small))
    assert_array_equal(study.slice_labels, np.zeros((10, 6)))
    assert study.mask_known.all()
    assert not study.mask_bits.any()


def test_counts_hold_numbers_alone(tmp_path: Path, small: ModelSettings) -> None:
    data = prepared(write_site(tmp_path, {k: k % 2 for k in range(1, 9)}), small)
    assert data.counts() == {
        "train-studies": 4,
        "train-positive": 2,
        "validation-studies": 2,
        "validation-positive": 1,
        "test-studies": 2,
        "test-positive": 1,
        "test-random-studies": 0,
        "test-random-positive": 0,
        "test-enriched-studies": 0,
        "test-enriched-positive": 0,
    }
    assert data.ledger_counts() == {"file-used": 80, "label-used": 8, "series-used": 8, "study-used": 8}
    assert data.ledger().summary() == "all 8 studies are used; all 80 files are used."


def test_a_site_of_one_class(tmp_path: Path, small: ModelSettings) -> None:
    counts = prepared(write_site(tmp_path, dict.fromkeys(range(1, 5), 0)), small).counts()
    assert sum(counts[f"{split}-studies"] for split in SPLITS) == 4
    assert sum(counts[f"{split}-positive"] for split in SPLITS) == 0


def test_every_file_study_and_row_has_one_line(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, {1: 1, 2: 0, 3: 0})
    head = head_hu()
    write_series(site / "dicom" / "1", series=2, ConvolutionKernel="BONE")
    write_slice(site / "dicom" / "2" / "1-95.dcm", head[4], index=4, study=2, patient="P2", PixelData=b"\0" * 8)
    write_series(site / "dicom" / "4", study=4)
    write_series(site / "dicom" / "5", study=5, ContrastBolusAgent="X")
    (site / "dicom" / "notes.doc").write_text("no image")
    write_labels(
        site / "labels.csv",
        [
            {"study_instance_uid": uid(1), "any": 1},
            {"study_instance_uid": uid(2), "any": 0},
            {"study_instance_uid": uid(3)},
            {"study_instance_uid": uid(5), "any": 1},
            {"study_instance_uid": uid(99), "any": 1},
        ],
    )
    data = prepared(site, small)
    found = lines(data)
    files = {str(path.relative_to(site)) for path in (site / "dicom").rglob("*") if path.is_file()}
    assert {item for kind, item in found if kind == "file"} == files
    studies = {item: entry.reason for (kind, item), entry in found.items() if kind == "study"}
    assert studies == {
        uid(1): "",
        uid(2): "",
        uid(3): "no-label",
        uid(4): "no-label",
        uid(5): "contrast",
        uid(99): "no-files",
    }
    rows = {item: entry.reason for (kind, item), entry in found.items() if kind == "label"}
    assert rows == dict(
        zip((f"line {k}" for k in range(2, 7)), ("", "", "not-used", "not-used", "without-study"), strict=True)
    )
    assert data.coverage() == Coverage(labelled=4, usable=2)
    by_reason = Counter(entry.reason for (kind, _), entry in found.items() if kind == "file")
    assert by_reason == {"": 19, "bone": 10, "truncated": 1, "no-label": 20, "contrast": 10, "not-dicom": 1}
    assert found["file", "dicom/2/1-95.dcm"].status == "quarantined"
    assert sorted(s.slices for split in SPLITS for s in data.studies(split)) == [9, 10]


def test_too_few_readable_slices(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, {1: 1}, series="{minimum_slices: 10}")
    write_slice(site / "dicom" / "1" / "1-95.dcm", head_hu()[4], index=4, PixelData=b"\0" * 8)
    data = prepared(site, small)
    found = lines(data)
    assert data.counts()["train-studies"] == 0
    assert found["study", uid(1)].reason == "too-few-readable"
    assert Counter(e.reason for (kind, _), e in found.items() if kind == "file") == {
        "too-few-readable": 9,
        "truncated": 1,
    }


def test_patients_are_on_one_side(tmp_path: Path, small: ModelSettings) -> None:
    """Twelve studies of six patients, each with two series: studies of one patient share a split."""
    site = write_site(tmp_path, dict.fromkeys(range(1, 13), 1))
    for study in range(1, 13):
        for series in (1, 2):
            write_series(site / "dicom" / str(study), study=study, series=series, patient=f"P{study % 6}")
    sides: dict[int, set[str]] = {}
    for (kind, item), entry in lines(prepared(site, small)).items():
        if kind == "study":
            sides.setdefault(int(item.rsplit(".", 1)[1]) % 6, set()).add(entry.detail.split(",")[0])
    assert all(len(splits) == 1 for splits in sides.values())
    assert {split for splits in sides.values() for split in splits} == set(DEALT)


def write_splits(site: Path, *splits: str) -> None:
    rows = [{"study_instance_uid": uid(k), "any": 1, "split": split} for k, split in enumerate(splits, start=1)]
    write_labels(site / "labels.csv", rows)


def test_the_labels_file_may_decide_the_split(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, {1: 1, 2: 1, 3: 1})
    write_splits(site, "test", "validation", "test")
    counts = prepared(site, small).counts()
    assert [counts[f"{split}-studies"] for split in DEALT] == [0, 1, 2]


def test_the_labels_file_may_not_split_a_patient(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, {1: 1, 2: 1})
    write_series(site / "dicom" / "2", study=2, patient="P1")
    write_splits(site, "test", "")
    assert prepared(site, small).counts()["test-studies"] == 2, "the patient's other study follows"
    write_splits(site, "test", "train")
    data = prepared(site, small)
    assert sum(data.counts().values()) == 0
    assert lines(data)["study", uid(2)].reason == "label-conflict"
    write_splits(site, "test", "test")
    assert prepared(site, small).counts()["test-studies"] == 2, "as soon as the table is mended"


def test_a_mask_lands_where_the_blood_is(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, ONE)
    codes = np.zeros((10, 32, 28), np.uint8)
    codes[3:6, 8:12, 14:20] = 5
    codes[6, 8, 14] = 5  # a speck
    write_mask(site / "m.nii.gz", codes.T)
    write_labels(site / "labels.csv", [{"study_instance_uid": uid(1), "subdural": 1, "mask": "m.nii.gz"}])
    study = only_study(prepared(site, small))
    expected = np.zeros((10, 16, 12))
    expected[3:6, 4:6, 6:9] = 0b100001
    assert_array_equal(study.mask_bits, expected)
    assert study.mask_known.all()
    assert study.slice_mm == 5.0
    assert_array_equal(study.slice_labels[:, 0], [0, 0, 0, 1, 1, 1, -1, 0, 0, 0])
    assert_array_equal(study.slice_labels[:, 5], [0, 0, 0, 1, 1, 1, -1, 0, 0, 0])


def test_a_mask_turns_with_its_slices(tmp_path: Path, small: ModelSettings) -> None:
    """Slices stored from left to right and posterior to anterior, with a mask that lies as they would be displayed."""
    site = write_site(tmp_path, ONE)
    codes = np.zeros((10, 32, 28), np.uint8)
    codes[3:6, 8:12, 14:20] = 5
    write_mask(site / "m.nii.gz", codes.T)
    write_labels(site / "labels.csv", [{"study_instance_uid": uid(1), "subdural": 1, "mask": "m.nii.gz"}])
    displayed = only_study(prepared(site, small))
    for index, path in enumerate(sorted((site / "dicom" / "1").iterdir(), reverse=True)):
        position, orientation = [78, 90, 5 * index], [-1, 0, 0, 0, -1, 0]
        turned = head_hu()[index, ::-1, ::-1]
        write_slice(path, turned, index=index, ImagePositionPatient=position, ImageOrientationPatient=orientation)
    study = only_study(prepared(site, small))
    assert_array_equal(study.windows, displayed.windows)
    assert_array_equal(study.mask_bits, displayed.mask_bits)


def test_labels_stay_with_their_slices_when_one_cannot_be_read(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, ONE)
    write_slice(site / "dicom" / "1" / "1-97.dcm", head_hu()[2], index=2, PixelData=b"\0" * 8)
    write_labels(site / "labels.csv", [{"sop_instance_uid": uid(1, 1, k + 1), "any": int(k == 4)} for k in range(10)])
    assert_array_equal(only_study(prepared(site, small)).slice_labels[:, 0], [0, 0, 0, 1, 0, 0, 0, 0, 0])


def test_slice_rows_go_before_the_mask(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, ONE)
    codes = np.zeros((10, 32, 28), np.uint8)
    codes[3:6, 8:12, 14:20] = 5
    write_mask(site / "m.nii.gz", codes.T)
    rows: list[dict[str, Any]] = [{"study_instance_uid": uid(1), "any": 1, "mask": "m.nii.gz"}]
    rows += [{"sop_instance_uid": uid(1, 1, 9), "any": 1}, {"sop_instance_uid": uid(1, 1, 4), "any": 0}]
    write_labels(site / "labels.csv", rows)
    study = only_study(prepared(site, small))
    assert_array_equal(study.slice_labels[:, 0], [0, 0, 0, 0, 1, 1, 0, 0, 1, 0])
    assert_array_equal(np.flatnonzero(~study.mask_known), [3, 8])


@pytest.mark.parametrize("shape", [(10, 16, 14), (9, 32, 28)])
def test_a_mask_of_another_size_costs_the_mask_not_the_study(
    tmp_path: Path, small: ModelSettings, shape: tuple[int, ...]
) -> None:
    site = write_site(tmp_path, ONE)
    write_mask(site / "m.nii.gz", np.full(shape, 2, np.uint8).T)
    write_labels(site / "labels.csv", [{"study_instance_uid": uid(1), "any": 1, "mask": "m.nii.gz"}])
    data = prepared(site, small)
    assert not only_study(data).mask_known.any()
    row = lines(data)["label", "line 2"]
    assert (row.reason, row.status) == ("mask-size", "used")


@pytest.fixture
def prepared_studies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """UIDs of the studies whose pixels are read."""
    uids: list[str] = []

    def counting(task: Task) -> Examined:
        uids.append(task.surveyed.uid)
        return client.preparation.prepare(task)

    monkeypatch.setattr(client.refresh, "prepare", counting)
    return uids


def test_only_what_changed_is_prepared_again(tmp_path: Path, small: ModelSettings, prepared_studies: list[str]) -> None:
    site = write_site(tmp_path, {1: 1, 2: 0, 3: 0})
    prepared(site, small)
    assert prepared_studies == [uid(1), uid(2), uid(3)]
    prepared_studies.clear()
    before = prepared(site, small).counts()
    assert prepared_studies == []
    os.utime(site / "dicom" / "2" / "1-95.dcm")
    prepared(site, small)
    rows = [{"study_instance_uid": uid(k), "any": int(k != 2)} for k in (1, 2, 3)]
    write_labels(site / "labels.csv", rows)
    after = prepared(site, small).counts()
    assert prepared_studies == [uid(2), uid(3)], "a file of the second, the label of the third"
    assert before != after
    for path in (site / "dicom" / "1").iterdir():
        path.unlink()
    write_series(site / "dicom" / "4", study=4)
    assert sum(prepared(site, small).counts()[f"{split}-studies"] for split in SPLITS) == 2
    assert prepared_studies == [uid(2), uid(3)]


def test_groups_are_chosen_when_they_are_read(
    tmp_path: Path, small: ModelSettings, prepared_studies: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither another choice in site.yaml nor another group in labels.csv prepares a study again."""
    site = write_site(tmp_path, {1: 1, 2: 0, 3: 0}, test_share=0, validation_share=0)
    for study in (1, 2):
        write_series(site / "dicom" / str(study), study=study, patient=f"P{study}", ManufacturerModelName="Axial 64")
    rows = [{"study_instance_uid": uid(k), "any": int(k == 1)} for k in (1, 2, 3)]
    write_labels(site / "labels.csv", [{**rows[0], "group": "night"}, *rows[1:]])
    print_index(data := prepared(site, small))
    assert data.groups("train") == ("", "", "")
    assert "\ngroups " not in capsys.readouterr().out
    assert len(prepared_studies) == 3
    keys, settings = [key_of(uid(k)) for k in (1, 2, 3)], (site / "site.yaml").read_text()
    for by, groups in (("scanner", ("axial-64", "axial-64", "unknown")), ("label", ("night", "unknown", "unknown"))):
        (site / "site.yaml").write_text(f"{settings}groups: {by}\n")
        data = prepared(site, small)
        assert dict(zip(data.keys("train"), data.groups("train"), strict=True)) == dict(zip(keys, groups, strict=True))
    print_index(data)
    assert "\ngroups     night (1), unknown (2)\n" in capsys.readouterr().out, "the site sees what would travel"
    write_labels(site / "labels.csv", [{**row, "group": "day"} for row in rows])
    assert prepared(site, small).groups("train") == ("day", "day", "day")
    assert prepared(site, small).groups("test") == ()
    assert len(prepared_studies) == 3


def test_a_preset_keeps_its_store_while_another_is_used(
    tmp_path: Path, small: ModelSettings, prepared_studies: list[str]
) -> None:
    site = load_site(write_site(tmp_path, {1: 1, 2: 0}))
    other = small.preprocessing.model_copy(update={"rows": 40})
    for preprocessing in (small.preprocessing, other, small.preprocessing, other):
        data = prepare(site, preprocessing)
        assert data.studies("train")[0].windows.shape[2] == preprocessing.rows
    assert len(prepared_studies) == 4


def test_fresh_data_opens_neither_files_nor_labels(
    tmp_path: Path, small: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = write_site(tmp_path, {1: 1, 2: 0})
    prepared(site, small)
    monkeypatch.setattr(client.dataset, "read_labels", None)
    monkeypatch.setattr(client.index, "read_headers", None)
    prepared(site, small)


def test_fresh_data_needs_no_writing(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, ONE)
    prepared(site, small)
    (site / ".bloodnet" / "lock").unlink()
    (site / ".bloodnet" / "lock").mkdir()  # stands for a cache that may only be read
    assert prepared(site, small).counts()["train-studies"] == 1
    os.utime(site / "labels.csv")
    with pytest.raises(DataError, match=r"\.bloodnet: cannot be written .*`cache`"):
        prepared(site, small)


def test_two_at_once_build_once(tmp_path: Path, small: ModelSettings, prepared_studies: list[str]) -> None:
    site = load_site(write_site(tmp_path, {1: 1, 2: 0}))
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(prepare, site, small.preprocessing) for _ in "ab"]
    assert runs[0].result().counts() == runs[1].result().counts()
    assert prepared_studies == [uid(1), uid(2)]


def stop_after(number: int) -> Callable[[str, int, int], None]:
    def on_progress(stage: str, done: int, total: int) -> None:
        if stage == "preparing studies" and done == number:
            raise KeyboardInterrupt

    return on_progress


def test_an_interrupted_index_continues_and_ends_in_the_same_bytes(
    tmp_path: Path, small: ModelSettings, prepared_studies: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.refresh, "_TOGETHER", 1)
    labels = {k: k % 2 for k in range(1, 7)}
    whole, broken = (write_site(tmp_path / name, labels) for name in ("whole", "broken"))
    prepared(whole, small)
    prepared_studies.clear()
    for stop in (2, 4):
        with pytest.raises(KeyboardInterrupt):
            prepare(load_site(broken), small.preprocessing, stop_after(stop))
    prepared(broken, small)
    assert prepared_studies == [uid(k) for k in range(1, 7)], "none of them twice"
    assert pixels(broken) == pixels(whole)


def test_a_killed_index_continues(tmp_path: Path, small: ModelSettings) -> None:
    """SIGKILL at several moments of a real `bloodnet-client index`; the end is that of an undisturbed one."""
    labels = {k: k % 2 for k in range(1, 41)}
    whole, killed = (write_site(tmp_path / name, labels) for name in ("whole", "killed"))
    data = prepare(load_site(whole), model_settings("tiny").preprocessing)
    command = [sys.executable, "-c", "from client.cli import main; main()", "index", str(killed)]
    for seconds in (0.5, 0.9, 1.2, 1.5, 1.8):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
    subprocess.run(command, check=True, capture_output=True)
    again = prepare(load_site(killed), model_settings("tiny").preprocessing)
    assert again.counts() == data.counts()
    assert list(again.ledger()) == list(data.ledger())
    assert pixels(killed) == pixels(whole)


def pixels(site: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (site / ".bloodnet").rglob("*.u8")}


def test_names_of_files_change_no_byte(tmp_path: Path, small: ModelSettings) -> None:
    plain, shuffled = (write_site(tmp_path / name, {k: k % 2 for k in range(1, 9)}) for name in ("plain", "shuffled"))
    for number, path in enumerate(sorted((shuffled / "dicom").rglob("*.dcm"), key=lambda path: path.name)):
        folder = shuffled / "dicom" / f"{number * 7919 % 13}"
        folder.mkdir(exist_ok=True)
        path.rename(folder / f"{number * 104729 % 99991}")
    first, second = prepared(plain, small), prepared(shuffled, small)
    assert pixels(plain) == pixels(shuffled) != {}
    for split in SPLITS:
        for a, b in zip(first.studies(split), second.studies(split), strict=True):
            assert_array_equal(a.windows, b.windows)
            assert_array_equal(a.slice_labels, b.slice_labels)


def test_the_cache_names_nobody(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, {1: 1, 2: 0})
    for k in (1, 2):
        write_series(site / "dicom" / str(k), study=k, patient=f"MUELLER{k}", PatientName="Mueller^Hans")
    prepared(site, small)
    for path in (path for path in (site / ".bloodnet").glob("prepared-*/*")):
        content = path.read_bytes()
        for word in (uid(1).encode(), b"MUELLER", b"Mueller", b".dcm", b"dicom"):
            assert word not in content, path


def test_a_damaged_cache_is_made_anew(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, {1: 1, 2: 0})
    counts = prepared(site, small).counts()
    (store,) = (site / ".bloodnet").glob("prepared-*")
    for path in (*store.iterdir(), site / ".bloodnet" / "index.sqlite"):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert prepared(site, small).counts() == counts, path.name
        path = next(p for p in (store / path.name, site / ".bloodnet" / path.name) if p.exists())
        assert path.read_bytes() != whole[: len(whole) // 2]


def test_the_same_head_under_another_name_is_used_once(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, {1: 1, 2: 0})
    write_series(site / "dicom" / "3", head_hu(1), study=3, patient="P3")
    write_labels(site / "labels.csv", [{"study_instance_uid": uid(k), "any": int(k != 2)} for k in (1, 2, 3)])
    data = prepared(site, small)
    assert sum(len(data.studies(split)) for split in SPLITS) == 2
    assert lines(data)["study", uid(3)].reason == "duplicate-pixels"
    for path in (site / "dicom" / "1").iterdir():
        path.unlink()
    assert lines(prepared(site, small))["study", uid(3)].status == "used", "once the other has gone"


def test_a_study_in_an_archive(tmp_path: Path, small: ModelSettings) -> None:
    plain, zipped = (write_site(tmp_path / name, {1: 1, 2: 0}) for name in ("plain", "zipped"))
    with zipfile.ZipFile(zipped / "dicom" / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((zipped / "dicom" / "2").iterdir()):
            archive.write(path, f"2/{path.name}")
            path.unlink()
    prepared(plain, small)
    data = prepared(zipped, small)
    assert pixels(zipped) == pixels(plain)
    assert lines(data)["file", "dicom/export.zip/2/1-99.dcm"].status == "used"


def test_a_file_that_changes_between_header_and_pixels(
    tmp_path: Path, small: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = write_site(tmp_path, {1: 1})
    path = site / "dicom" / "1" / "1-95.dcm"

    def changing(task: Task) -> Examined:
        os.utime(path)
        return client.preparation.prepare(task)

    monkeypatch.setattr(client.refresh, "prepare", changing)
    data = prepared(site, small)
    assert lines(data)["file", "dicom/1/1-95.dcm"].reason == "changed"
    monkeypatch.undo()
    assert only_study(prepared(site, small)).slices == 10


def test_a_mask_beside_the_labels_folder_stays_fresh(
    tmp_path: Path, small: ModelSettings, prepared_studies: list[str]
) -> None:
    site = write_site(tmp_path, ONE, labels="tables/labels.csv")
    (site / "tables").mkdir()
    write_mask(site / "m.nii.gz", np.ones((28, 32, 10), np.uint8))
    write_labels(site / "tables" / "labels.csv", [{"study_instance_uid": uid(1), "any": 1, "mask": "../m.nii.gz"}])
    prepared(site, small)
    assert prepared_studies == [uid(1)]
    prepared(site, small)
    assert prepared_studies == [uid(1)]


def test_a_row_that_contradicts_itself_costs_its_study_alone(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, {1: 1, 2: 0})
    rows = [{"study_instance_uid": uid(1), "any": 0, "epidural": 1}, {"study_instance_uid": uid(2), "any": 0}]
    write_labels(site / "labels.csv", rows)
    data = prepared(site, small)
    found = lines(data)
    assert found["study", uid(1)].reason == found["label", "line 2"].reason == "label-conflict"
    assert found["study", uid(2)].status == "used"
    assert data.coverage() == Coverage(labelled=2, usable=1)


def test_members_make_up_one_site(tmp_path: Path, small: ModelSettings) -> None:
    for name, study in (("a", 1), ("b", 2)):
        write_site(tmp_path / name, {study: study % 2, study + 10: 1})
    (tmp_path / "site.yaml").write_text("name: both\nmembers: [a, b]\n")
    data = prepared(tmp_path, small)
    assert data.counts()["train-studies"] == len(data.studies("train")) == 3
    assert data.ledger_counts()["study-used"] == 4
    assert data.site.settings.name == "both"


def test_what_cannot_be_opened_is_named(tmp_path: Path, small: ModelSettings) -> None:
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        load_site(tmp_path / "nowhere")
    site = write_site(tmp_path / "site", ONE)
    (site / "site.yaml").write_text("name: a\ndicom: [dicom]\nseries: {minimum_slice: 3}\n")
    with pytest.raises(SettingsError, match="did you mean minimum_slices"):
        load_site(site)
    (site / "empty").mkdir()
    (site / "site.yaml").write_text("name: a\ndicom: [empty]\n")
    with pytest.raises(DataError, match="hold no file"):
        load_site(site)
    (site / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="none of its files is a CT slice"):
        prepared(site, small)


def test_the_ledger_is_a_table_for_people(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, ONE)
    prepared(site, small)
    with (site / ".bloodnet" / "ledger.csv").open() as file:
        assert {row["kind"] for row in csv.DictReader(file)} == {"file", "series", "study", "label"}
