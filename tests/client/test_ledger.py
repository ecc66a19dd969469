"""The data ledger."""

from pathlib import Path

import pytest

from bloodnet_model.reasons import FAULTS, REASONS, REMARKS, RULES
from client.ledger import Coverage, Entry, Ledger, counts, coverage, summary, write_ledger

ENTRIES = [
    Entry("study", "1.2"),
    Entry("study", "1.3", "contrast"),
    Entry("file", "/site/dicom/a.dcm"),
    Entry("file", "/site/dicom/b.dcm", "truncated", 'b.dcm: 2 of 8 bytes, "short"'),
    Entry("file", "/elsewhere/c.dcm", "contrast"),
    Entry("label", "line 2", "mask-size"),
]


def test_the_reason_decides_the_status() -> None:
    assert [entry.status for entry in ENTRIES] == ["used", "skipped", "used", "quarantined", "skipped", "used"]


def test_counts_by_kind_and_reason() -> None:
    assert counts(ENTRIES) == {
        "file-contrast": 1,
        "file-truncated": 1,
        "file-used": 1,
        "label-mask-size": 1,
        "study-contrast": 1,
        "study-used": 1,
    }


def test_the_summary_answers_whether_all_data_is_used() -> None:
    assert summary(counts(ENTRIES)) == (
        "1 of 2 studies are used, not used: 1 contrast; 1 of 3 files are used, not used: 1 contrast, 1 truncated."
    )
    assert summary(counts([Entry("study", "1"), Entry("file", "a")])) == (
        "all 1 studies are used; all 1 files are used."
    )


def test_coverage_is_of_labelled_studies() -> None:
    counted = {"study-used": 6, "study-gap": 1, "study-contrast": 1, "study-no-files": 2, "study-no-label": 90}
    assert coverage(counted) == Coverage(labelled=10, usable=7)
    assert coverage(counted).share == 0.7
    assert coverage({"file-used": 3}).share == 1.0


def test_it_reads_back_what_it_wrote_with_files_relative_to_the_site(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    write_ledger(path, Path("/site"), ENTRIES)
    assert path.read_text().splitlines()[:2] == ["kind,item,status,reason,detail", "study,1.2,used,,"]
    read = list(Ledger((path,)))
    assert [entry.item for entry in read if entry.kind == "file"] == ["dicom/a.dcm", "dicom/b.dcm", "/elsewhere/c.dcm"]
    assert [(e.kind, e.reason, e.detail) for e in read] == [(e.kind, e.reason, e.detail) for e in ENTRIES]


def test_the_ledgers_of_members_are_one(tmp_path: Path) -> None:
    for name in "ab":
        write_ledger(tmp_path / name, Path("/site"), ENTRIES)
    assert Ledger((tmp_path / "a", tmp_path / "b")).counts()["study-used"] == 2


def test_a_ledger_that_breaks_off_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    write_ledger(path, Path("/site"), ENTRIES)
    with pytest.raises(ZeroDivisionError):
        write_ledger(path, Path("/site"), (Entry("study", str(1 // k)) for k in (1, 0)))
    assert len(list(Ledger((path,)))) == len(ENTRIES)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_explained_in_a_sentence_and_is_of_one_kind(reason: str) -> None:
    assert REASONS[reason][0].isupper()
    assert REASONS[reason].endswith(".")
    assert [reason in kind for kind in (FAULTS, RULES, REMARKS)].count(True) == 1
