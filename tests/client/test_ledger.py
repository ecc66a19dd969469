"""The data ledger."""

from pathlib import Path

import pytest

from client.ledger import REASONS, Entry, Ledger


def ledger() -> Ledger:
    found = Ledger(Path("/site"))
    found.add("study", "1.2")
    found.add("study", "1.3", "contrast")
    found.add("file", Path("/site/dicom/a.dcm"))
    found.add("file", Path("/site/dicom/b.dcm"), "truncated", 'b.dcm: 2 of 8 bytes, "short"')
    found.add("file", Path("/elsewhere/c.dcm"), "contrast")
    found.add("label", "line 2", "mask-size")
    return found


def test_the_reason_decides_the_status() -> None:
    assert [entry.status for entry in ledger()] == ["used", "skipped", "used", "quarantined", "skipped", "used"]


def test_files_are_named_relative_to_the_site() -> None:
    assert [entry.item for entry in ledger() if entry.kind == "file"] == [
        "dicom/a.dcm",
        "dicom/b.dcm",
        "/elsewhere/c.dcm",
    ]


def test_counts_by_kind_and_reason() -> None:
    assert ledger().counts() == {
        "file-contrast": 1,
        "file-truncated": 1,
        "file-used": 1,
        "label-mask-size": 1,
        "study-contrast": 1,
        "study-used": 1,
    }


def test_the_summary_answers_whether_all_data_is_used() -> None:
    assert ledger().summary() == (
        "1 of 2 studies are used, not used: 1 contrast; 1 of 3 files are used, not used: 1 truncated, 1 contrast."
    )
    assert Ledger(Path("/"), [Entry("study", "1"), Entry("file", "a")]).summary() == (
        "all 1 studies are used; all 1 files are used."
    )


def test_it_reads_back_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    ledger().write(path)
    assert path.read_text().splitlines()[:2] == ["kind,item,status,reason,detail", "study,1.2,used,,"]
    assert list(Ledger.read(path, Path("/site"))) == list(ledger())


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_explained_in_a_sentence(reason: str) -> None:
    assert REASONS[reason][0].isupper()
    assert REASONS[reason].endswith(".")
