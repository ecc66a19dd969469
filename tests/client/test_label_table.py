"""The labels file as spreadsheets and people write it: what is read, and what one bad line costs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from bloodnet_model.reasons import FAULTS
from client.label_rows import BLANK, LabelRow
from client.label_table import COLUMNS, LabelTable, read_labels

HEAD = f"study_instance_uid,{','.join(CLASSES)},mask,split"
POSITIVE = (1, -1, -1, -1, -1, 1)


def table_of(folder: Path, text: str | bytes) -> LabelTable:
    path = folder / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_labels(path)


def only_row(table: LabelTable) -> LabelRow:
    assert not table.faults
    (row,) = table.rows.values()
    return row


def faults_of(folder: Path, *lines: str) -> list[tuple[int, str, str]]:
    table = table_of(folder, "\n".join([HEAD, *lines]))
    assert all(fault.reason in FAULTS for fault in table.faults)
    return [(fault.line, fault.reason, fault.detail) for fault in table.faults]


@pytest.mark.parametrize(
    "text",
    [
        f"\ufeff{HEAD}\n1.2.3,1,,,,,1,,\n",
        f"{HEAD}\r\n1.2.3,1,,,,,1,,\r\n".replace(",", ";"),
        f"{HEAD}\n1.2.3,1,,,,,1,,\n".replace(",", "\t"),
        f"{HEAD}\n1.2.3,1,,,,,1,,\n".encode("utf-16"),
        f"{HEAD}\r1.2.3,1,,,,,1,,\r",
        f"sep=;\n{HEAD}\n1.2.3,1,0;0\n".replace(",", ";").replace("1;0;0", "1,0;;;;;1,0;;"),
        f"\n{HEAD.upper()}\n\n1.2.3,1.0,,,,,1.0,,\n,,,,,,,,\n  \n",
        f"{HEAD.replace('study_instance_uid', 'StudyInstanceUID')}\n1.2.3,1,,,,,1,,\n",
        f"{HEAD.replace('study_instance_uid', 'Study Instance UID')}\n1.2.3,1,NA,nan,,,1,,\n",
        f'{HEAD}\n"1.2.3","1","","","","","1","",""\n"","","","","","","","",""\n',
        f'{HEAD}\n1.2.3 , 1 ,,,,, "1" , ,\n',
        f'{HEAD}\n="1.2.3",1,,,,,1,,\n',
        f"{HEAD}\n'1.2.3,1,,,,,1,,\n",
        f"{HEAD}\n1.2.3\0,1,,,,,1,,\n",
        f"{HEAD},\n1.2.3,1,,,,,1,,,\n",
        f",{HEAD}\n0,1.2.3,1,,,,,1,,\n",
        f"{HEAD}\n1.2.3,1,,,,,1,,,,,\n",
    ],
    ids=lambda text: repr(text)[:40],
)
def test_habits_of_spreadsheets_are_read(tmp_path: Path, text: str | bytes) -> None:
    row = only_row(table_of(tmp_path, text))
    assert row.key == ("study_instance_uid", "1.2.3")
    assert row.labels == POSITIVE
    assert (row.mask, row.split) == (None, None)


def test_masks_and_splits_are_read_as_people_write_them(tmp_path: Path) -> None:
    row = only_row(table_of(tmp_path, f"{HEAD}\n1.2.3,1,,,,,1,masks\\a b.nii.gz ,Train\n"))
    assert row.mask == tmp_path / "masks" / "a b.nii.gz"
    assert row.split == "train"


def test_a_group_is_a_short_word_or_a_bad_label(tmp_path: Path) -> None:
    lines = ["1.1,1,,,,,,,,  Night-Shift ", "1.2,1,,,,,,,,", "1.3,1,,,,,,,,St. Mary", f"1.4,1,,,,,,,,{33 * 'a'}"]
    table = table_of(tmp_path, "\n".join([f"{HEAD},group", *lines]))
    assert [row.group for row in table.rows.values()] == ["night-shift", ""]
    assert [(fault.line, fault.reason) for fault in table.faults] == [(4, "bad-label"), (5, "bad-label")]
    assert table.faults[0].detail.startswith("group is 'st. mary'; write up to 32 letters")


def test_rows_of_one_study_agree_on_its_group(tmp_path: Path) -> None:
    table = table_of(tmp_path, f"{HEAD},group\n1.1,1,,,,,,,,a\n1.1,1,,,,,,,,\n1.2,1,,,,,,,,a\n1.2,1,,,,,,,,b\n")
    assert [row.group for row in table.rows.values()] == ["a"]
    assert [fault.detail for fault in table.faults] == [f"names another group than line {line}" for line in (5, 4)]


def test_a_row_speaks_of_the_most_specific_thing_it_names(tmp_path: Path) -> None:
    head = f"accession_number,study_instance_uid,sop_instance_uid,{','.join(CLASSES)}\n"
    table = table_of(tmp_path, f"{head}A1,1.2,1.2.3,0,,,,,\nA1,1.2,,1,,,,,\nA1,,,1,,,,,\n77.0,,,1,,,,,\n")
    assert list(table.rows) == [
        ("sop_instance_uid", "1.2.3"),
        ("study_instance_uid", "1.2"),
        ("accession_number", "A1"),
        ("accession_number", "77"),  # a spreadsheet's number, in a column with gaps
    ]
    assert table.rows["sop_instance_uid", "1.2.3"].study == "1.2"


@pytest.mark.parametrize(
    ("line", "reason", "said"),
    [
        ("1.2.3,yes,,,,,,,", "bad-label", "any is 'yes'"),
        ("1.2.3,1,,2,,,,,", "bad-label", "intraparenchymal is '2'"),
        ("1.2.3,1,,,,,,", "bad-label", "has 8 cells, the head 9"),
        ("1.2.3,1,,,,,,,,x", "bad-label", "has 10 cells"),
        (",1,,,,,,,", "bad-label", "names no study"),
        ("1.2.3,1,,,,,,,training", "bad-label", "split is 'training'"),
        ('"1.2.3,1,,,,,,,', "bad-label", "has 1 cells"),
        ("1.2.3,0,1,,,,,,", "label-conflict", "any is 0 and epidural is 1"),
    ],
)
def test_a_bad_line_costs_itself_alone(tmp_path: Path, line: str, reason: str, said: str) -> None:
    table = table_of(tmp_path, f"{HEAD}\n9.1,1,,,,,,,\n{line}\n9.2,0,,,,,,,\n")
    (fault,) = table.faults
    assert (fault.line, fault.reason) == (3, reason)
    assert said in fault.detail
    assert [row.line for row in table.rows.values()] == [2, 4]


def test_a_byte_that_is_not_utf8_costs_its_line(tmp_path: Path) -> None:
    table = table_of(tmp_path, f"{HEAD}\n9.1,1,,,,,,blutung_ü.nii,\n9.2,0,,,,,,,\n".encode("cp1252"))
    assert [(fault.line, fault.reason) for fault in table.faults] == [(2, "bad-label")]
    assert [row.line for row in table.rows.values()] == [3]


def test_an_accession_number_that_a_spreadsheet_rounded(tmp_path: Path) -> None:
    head = HEAD.replace("study_instance_uid", "accession_number")
    table = table_of(tmp_path, f"{head}\n1.23457E+11,1,,,,,,,\n12E4,1,,,,,,,\n")
    assert [fault.line for fault in table.faults] == [2], "the second may well be an accession number"
    assert "rounded" in table.faults[0].detail


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("1.2.3,1,,,,,,,", "1.2.3,0,,,,,,,", "disagrees with line {} on any"),
        ("1.2.3,1,1,,,,,,", "1.2.3,1,0,,,,,,", "disagrees with line {} on epidural"),
        ("1.2.3,1,,,,,,a.nii,", "1.2.3,1,,,,,,b.nii,", "names another mask than line {}"),
        ("1.2.3,1,,,,,,,train", "1.2.3,1,,,,,,,test", "names another split than line {}"),
    ],
)
def test_rows_that_contradict_each_other_are_both_out(tmp_path: Path, first: str, second: str, said: str) -> None:
    table = table_of(tmp_path, f"{HEAD}\n{first}\n9.1,1,,,,,,,\n{second}\n{first}\n")
    assert [(fault.line, fault.reason) for fault in table.faults] == [(2, "label-conflict"), (4, "label-conflict")]
    assert [fault.detail for fault in table.faults] == [said.format(4), said.format(2)]
    assert set(table.rows) == {("study_instance_uid", "9.1")}
    assert table.repeats == (5,)
    assert table.spoiled["study_instance_uid", "1.2.3"].line == 2


def test_a_good_row_beside_a_bad_one_is_not_believed(tmp_path: Path) -> None:
    for lines in (["1.2.3,1,,,,,,,", "1.2.3,yes,,,,,,,"], ["1.2.3,yes,,,,,,,", "1.2.3,1,,,,,,,"]):
        faults = faults_of(tmp_path, *lines)
        assert [(line, reason) for line, reason, _ in faults] == [(2, "bad-label"), (3, "bad-label")]
        assert sum("which speaks of the same" in detail for *_, detail in faults) == 1


def test_rows_that_agree_complete_each_other(tmp_path: Path) -> None:
    table = table_of(tmp_path, f"{HEAD}\n1.2.3,,,,,,1,,\n1.2.3,1,0,,,,,a.nii,test\n1.2.3,1,0,,,,,a.nii,test\n")
    row = only_row(table)
    assert row == (2, ("study_instance_uid", "1.2.3"), (1, 0, -1, -1, -1, 1), tmp_path / "a.nii", "test", "", "")
    assert table.repeats == (3, 4)
    assert table.masks == [tmp_path / "a.nii"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("study_instance_uid,any\n1,1\n", "column epidural is missing"),
        (f"{','.join(CLASSES)}\n1,1,1,1,1,1\n", "no column identifies a study"),
        (f"{HEAD},subdurall\n", r"unknown column 'subdurall'; did you mean subdural\?"),
        (f"{HEAD},ANY\n", "two columns any"),
        ("", "is empty"),
        (b"PK\3\4\x14\0\6\0", "is no text; save the spreadsheet"),
        (HEAD.encode("utf-16-le"), "is no text"),
        (b"\xff\xfe\0\xd8\n", "cannot be read"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_file_that_is_unusable_as_a_whole(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        table_of(tmp_path, text)
    assert str(tmp_path / "labels.csv") in str(caught.value)


def test_files_that_cannot_be_opened_or_have_no_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv: there is no such file"):
        read_labels(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path)
    with pytest.raises(DataError, match="line 1: has no end"):
        table_of(tmp_path, b"x" * (1 << 20))


def test_the_columns_are_those_of_the_contract() -> None:
    assert ("sop_instance_uid", "study_instance_uid", "accession_number", *CLASSES, "mask", "split", "group") == COLUMNS


LINES = st.lists(
    st.one_of(
        st.text(st.characters(exclude_characters="\r\n"), max_size=40),
        st.tuples(st.sampled_from(["1.1", "1.2", "1.3"]), st.sampled_from(["0", "1", "", "yes"])).map(
            lambda pair: f"{pair[0]},{pair[1]},,,,,,,"
        ),
    ),
    max_size=12,
)


@given(LINES)
def test_every_line_is_accounted_for_in_any_order(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    """No line raises, none is lost, and what is believed of a study does not hang on the order of its rows."""
    folder = tmp_path_factory.mktemp("labels")
    table = table_of(folder, "\n".join([HEAD, *lines]).encode("utf-8", "surrogatepass"))
    lines_told = [row.line for row in table.rows.values()] + [*table.repeats, *(fault.line for fault in table.faults)]
    assert sorted(lines_told) == sorted(set(lines_told))
    blank = {n for n, line in enumerate(lines, start=2) if not line.strip(BLANK + ',"')}
    assert set(range(2, len(lines) + 2)) == set(lines_told) | blank
    assert not table.rows.keys() & table.spoiled.keys()
    reversed_table = table_of(folder, "\n".join([HEAD, *lines[::-1]]).encode("utf-8", "surrogatepass"))
    believed = {key: row.labels for key, row in table.rows.items()}
    assert believed == {key: row.labels for key, row in reversed_table.rows.items()}
