"""The labels file: what it may say, and what follows from it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from client.labels import StudyLabels, labels_of, read_labels, settled
from tests.client.dicom_factory import make_header, uid, write_labels

SLICES = [make_header(index) for index in range(3)]
STUDY = {"study_instance_uid": uid(1)}


def labels(folder: Path, *rows: dict[str, Any]) -> StudyLabels:
    found = labels_of(read_labels(write_labels(folder / "labels.csv", rows)), SLICES)
    assert found is not None
    return found


def complaint(folder: Path, *rows: dict[str, Any]) -> str:
    path = write_labels(folder / "labels.csv", rows)
    with pytest.raises(DataError) as caught:
        labels_of(read_labels(path), SLICES)
    assert "labels.csv" in str(caught.value)
    return str(caught.value)


def of_slice(index: int, **values: Any) -> dict[str, Any]:
    return {"sop_instance_uid": SLICES[index].sop_uid, **values}


def test_a_study_row_is_found_by_uid_and_by_accession_number(tmp_path: Path) -> None:
    assert_array_equal(labels(tmp_path, {**STUDY, "any": 1}).study, [1, -1, -1, -1, -1, -1])
    assert_array_equal(labels(tmp_path, {"accession_number": "A1", "any": 0}).study, [0] * 6)
    both = labels(tmp_path, {**STUDY, "any": 1}, {"accession_number": "A1", "any": 0})
    assert both.study[0] == 1, "the UID is the surer name"
    assert both.lines == (2,)


def test_a_subtype_is_a_hemorrhage(tmp_path: Path) -> None:
    assert_array_equal(labels(tmp_path, {**STUDY, "subdural": "1.0"}).study, [1, -1, -1, -1, -1, 1])


def test_no_subtype_does_not_mean_no_hemorrhage(tmp_path: Path) -> None:
    subtypes = dict.fromkeys(CLASSES[1:], 0)
    assert_array_equal(labels(tmp_path, {**STUDY, **subtypes}).study, [-1, 0, 0, 0, 0, 0])
    assert_array_equal(labels(tmp_path, {**STUDY, **subtypes, "any": 1}).study, [1, 0, 0, 0, 0, 0])


def test_slice_rows_stand_in_the_order_of_the_slices(tmp_path: Path) -> None:
    found = labels(tmp_path, of_slice(2, epidural=1), of_slice(0, any=0))
    assert_array_equal(found.slices, [[0] * 6, [-1] * 6, [1, 1, -1, -1, -1, -1]])
    assert_array_equal(found.study, [-1] * 6)


def test_mask_and_split_come_from_any_row(tmp_path: Path) -> None:
    found = labels(tmp_path, {**STUDY, "any": 1, "mask": "masks/a.nii.gz"}, of_slice(1, any=1, split="test"))
    assert found.mask == (tmp_path / "masks/a.nii.gz", 2)
    assert found.split == "test"


def test_nothing_known_is_no_label(tmp_path: Path) -> None:
    for rows in ([{**STUDY}], [{"study_instance_uid": uid(2), "any": 1}]):
        assert labels_of(read_labels(write_labels(tmp_path / "labels.csv", rows)), SLICES) is None


def test_a_byte_order_mark_and_repeated_rows_are_forgiven(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "labels.csv", [{**STUDY, "any": 1}, {**STUDY, "any": 1}])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_labels(path).repeats == (3,)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{**STUDY, "any": 0, "epidural": 1}], ["line 2", "any is 0 and epidural is 1"]),
        ([{**STUDY, "any": "yes"}], ["line 2", "any is 'yes'"]),
        ([{**STUDY, "any": 1}, {**STUDY, "any": 0}], ["line 3", "line 2"]),
        ([{**STUDY, "any": 0}, of_slice(1, any=1)], ["line 3", "line 2", "any is 1 on a slice"]),
        ([{**STUDY, "any": 1, "split": "training"}], ["line 2", "'training'"]),
        ([{**STUDY, "any": 1, "split": "test"}, of_slice(0, any=1, split="train")], ["line 3", "split"]),
        ([{"study_instance_uid": "", "any": 1}], ["line 2", "names no study"]),
        ([{**STUDY, "subdurall": 1}], ["'subdurall'", "did you mean subdural?"]),
        ([{"any": 1}], ["study_instance_uid"]),
    ],
    ids=lambda value: str(value[-1]),
)
def test_a_wrong_table_is_named_with_file_and_line(tmp_path: Path, rows: list[dict[str, Any]], said: list[str]) -> None:
    text = complaint(tmp_path, *rows)
    assert all(part in text for part in said), text


def test_a_missing_column_a_short_line_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("study_instance_uid,any\n1,1\n")
    with pytest.raises(DataError, match="column epidural is missing"):
        read_labels(path)
    path.write_text("study_instance_uid," + ",".join(CLASSES) + "\n1,1\n")
    with pytest.raises(DataError, match="line 2: has not as many cells"):
        read_labels(path)
    with pytest.raises(DataError, match=r"gone\.csv: there is no such file"):
        read_labels(tmp_path / "gone.csv")


U = -1


@pytest.mark.parametrize(
    ("study", "slices", "settled_study", "settled_slices"),
    [
        ([U] * 6, [[0] * 6, [U, U, 1, U, U, U]], [1, U, 1, U, U, U], [[0] * 6, [1, U, 1, U, U, U]]),
        ([U] * 6, [[0] * 6, [0] * 6], [0] * 6, [[0] * 6, [0] * 6]),
        ([U] * 6, [[0] * 6, [U] * 6], [U] * 6, [[0] * 6, [U] * 6]),
        ([0] * 6, [[U] * 6, [U] * 6], [0] * 6, [[0] * 6, [0] * 6]),
        ([1, 0, U, 0, 0, 0], [[U] * 6, [0] * 6], [1, 0, U, 0, 0, 0], [[U, 0, U, 0, 0, 0], [0] * 6]),
    ],
)
def test_unknown_labels_follow_from_the_others(
    study: list[int], slices: list[list[int]], settled_study: list[int], settled_slices: list[list[int]]
) -> None:
    found_study, found_slices = settled(np.array(study, np.int8), np.array(slices, np.int8))
    assert_array_equal(found_study, settled_study)
    assert_array_equal(found_slices, settled_slices)
    assert found_study.dtype == found_slices.dtype == np.int8
