"""The labels file: what it may say, and what follows from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bloodnet_model.labels import CLASSES
from bloodnet_model.reasons import FAULTS
from client.labels import StudyLabels, UnusableLabels, labels_of, read_labels, settled, shared_accessions
from client.slice_header import SliceHeader
from tests.client.dicom_factory import make_header, uid, write_labels

SLICES = [make_header(index) for index in range(3)]
STUDY = {"study_instance_uid": uid(1)}


def labels(folder: Path, *rows: dict[str, Any]) -> StudyLabels:
    found = labels_of(read_labels(write_labels(folder / "labels.csv", rows)), SLICES)
    assert found is not None
    return found


def refusal(folder: Path, *rows: dict[str, Any], slices: Sequence[SliceHeader] = SLICES) -> UnusableLabels:
    table = read_labels(write_labels(folder / "labels.csv", rows))
    with pytest.raises(UnusableLabels) as caught:
        labels_of(table, slices)
    assert caught.value.reason in FAULTS
    return caught.value


def of_slice(index: int, **values: Any) -> dict[str, Any]:
    return {"sop_instance_uid": SLICES[index].sop_uid, **values}


def test_a_study_row_is_found_by_uid_and_by_accession_number(tmp_path: Path) -> None:
    assert_array_equal(labels(tmp_path, {**STUDY, "any": 1}).study, [1, -1, -1, -1, -1, -1])
    assert_array_equal(labels(tmp_path, {"accession_number": "A1", "any": 0}).study, [0] * 6)
    both = labels(tmp_path, {**STUDY, "any": 1}, {"accession_number": "A1", "subdural": 1})
    assert_array_equal(both.study, [1, -1, -1, -1, -1, 1])
    assert both.lines == (2, 3)


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


def test_mask_split_and_group_come_from_any_row(tmp_path: Path) -> None:
    rows = of_slice(1, any=1, split="test"), of_slice(2, any=1, group="night")
    found = labels(tmp_path, {**STUDY, "any": 1, "mask": "masks/a.nii.gz"}, *rows)
    assert found.mask == (tmp_path / "masks/a.nii.gz", 2)
    assert (found.split, found.group) == ("test", "night")
    assert labels(tmp_path, {**STUDY, "any": 1}).group == ""


def test_nothing_known_is_no_label(tmp_path: Path) -> None:
    for rows in ([{**STUDY}], [{"study_instance_uid": uid(2), "any": 1}]):
        assert labels_of(read_labels(write_labels(tmp_path / "labels.csv", rows)), SLICES) is None


@pytest.mark.parametrize(
    ("rows", "reason", "said", "lines"),
    [
        ([{**STUDY, "any": "yes"}], "bad-label", "line 2: any is 'yes'", (2,)),
        ([{**STUDY, "any": 1}, of_slice(1, any=2)], "bad-label", "line 3: any is '2'", (3,)),
        ([{**STUDY, "any": 0, "epidural": 1}], "label-conflict", "line 2: any is 0 and epidural is 1", (2,)),
        ([{**STUDY, "any": 1}, {**STUDY, "any": 0}], "label-conflict", "line 2: disagrees with line 3 on any", (2,)),
        (
            [{**STUDY, "any": 1}, {"accession_number": "A1", "any": 0}],
            "label-conflict",
            "line 3: disagrees with line 2 on any",
            (2, 3),
        ),
        ([{**STUDY, "any": 0}, of_slice(1, any=1)], "label-conflict", "line 3: any is 1 on a slice of a", (2, 3)),
        (
            [{**STUDY, "subdural": 1}, *(of_slice(index, any=1, subdural=0) for index in range(3))],
            "label-conflict",
            "line 2: subdural is 1 and the rows of all slices say 0, the first in line 3",
            (2, 3, 4, 5),
        ),
        (
            [{**STUDY, "any": 1, "split": "test"}, of_slice(0, any=1, split="train")],
            "label-conflict",
            "line 3: names another split than line 2",
            (2, 3),
        ),
        (
            [of_slice(1, any=1, group="a"), of_slice(0, any=1), of_slice(2, any=0, group="b")],
            "label-conflict",
            "line 4: names another group than line 2",
            (2, 4),
        ),
        (
            [of_slice(1, any=1, mask="a.nii"), of_slice(0, any=1), of_slice(2, any=0, mask="b.nii")],
            "label-conflict",
            "line 4: names another mask than line 2",
            (2, 4),
        ),
        (
            [of_slice(1, any=1, study_instance_uid="1.2"), of_slice(0, any=1)],
            "label-conflict",
            "line 2: puts the slice into another study",
            (2,),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_study_whose_rows_cannot_be_believed(
    tmp_path: Path, rows: list[dict[str, Any]], reason: str, said: str, lines: tuple[int, ...]
) -> None:
    other = {"study_instance_uid": uid(2), "any": 1}
    found = refusal(tmp_path, *rows, other)
    assert (found.reason, found.lines) == (reason, lines)
    assert str(found).startswith(said)
    kept = labels_of(
        read_labels(tmp_path / "labels.csv"), [make_header(study_uid=uid(2), sop_uid="9", accession_number="")]
    )
    assert kept is not None
    assert kept.study[0] == 1, "its neighbour pays nothing"


def test_a_row_denied_by_some_slices_is_no_conflict(tmp_path: Path) -> None:
    """The blood may be on a slice of which the table says nothing."""
    rows = [{**STUDY, "any": 1}, *(of_slice(index, any=0) for index in range(2))]
    assert_array_equal(labels(tmp_path, *rows).slices, [[0] * 6, [0] * 6, [-1] * 6])


def test_a_row_of_a_multi_frame_file_speaks_of_the_study(tmp_path: Path) -> None:
    """All its frames have one SOPInstanceUID: a positive row must not call each of them positive."""
    frames = [make_header(0, frame=index) for index in range(3)]
    path = write_labels(tmp_path / "labels.csv", [{"sop_instance_uid": frames[0].sop_uid, "subdural": 1}])
    found = labels_of(read_labels(path), frames)
    assert found is not None
    assert_array_equal(found.study, [1, -1, -1, -1, -1, 1])
    assert_array_equal(found.slices, np.full((3, 6), -1))
    assert found.lines == (2,)
    with_study = [{**STUDY, "any": 0}, {"sop_instance_uid": frames[0].sop_uid, "any": 1}]
    assert refusal(tmp_path, *with_study, slices=frames).lines == (2, 3)


def test_an_accession_number_of_two_studies_names_neither(tmp_path: Path) -> None:
    rows = [{"accession_number": "A1", "any": 1}, {**STUDY, "any": 1}, {"accession_number": "A2", "any": 1}]
    table = read_labels(write_labels(tmp_path / "labels.csv", rows))
    shared = shared_accessions(table, {"1.1": [2, 3], "1.2": [2], "1.3": [4], "1.4": [3]})
    assert set(shared) == {"1.1", "1.2"}
    assert all(
        reason == "label-conflict" and "line 2" in detail and "2 studies" in detail
        for reason, detail in shared.values()
    )


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
