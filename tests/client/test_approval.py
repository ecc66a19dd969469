"""What may run: a bundle is known by what is in it, and a person sees how it differs before saying yes."""

import os
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bloodnet_model.errors import DataError
from client.approval import (
    Grants,
    approved_bundles,
    find_bundle,
    is_digest,
    keep_refused,
)
from client.cli import app
from client.review import review
from strategies.bundle import app_bundle, bundle_digest, bundle_files
from tests.client.bundles import changed_bundle, packed

OURS = {"a.py": b"x = 1\ny = 2\n", "b.py": b"z = 3\n", ".info/CONTENT": b"a.py,1\nb.py,2"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text("name: a\ndicom: [d]\n")
    return tmp_path


def digest(bundle: bytes) -> str:
    return bundle_digest(bundle_files(bundle))


def test_the_digest_is_of_names_and_contents_alone() -> None:
    reordered = dict(reversed(list(OURS.items())))
    assert digest(packed(OURS)) == digest(packed(reordered, zipfile.ZIP_STORED))
    assert packed(OURS) != packed(reordered, zipfile.ZIP_STORED)
    assert is_digest(digest(packed(OURS)))


@pytest.mark.parametrize(
    "other",
    [
        {**OURS, "a.py": b"x = 1\ny = 2"},
        {**OURS, "c.py": b""},
        {name: OURS[name] for name in ("a.py", ".info/CONTENT")},
        {"b.py": OURS["a.py"], "a.py": OURS["b.py"], ".info/CONTENT": OURS[".info/CONTENT"]},
        {**OURS, ".info/CONTENT": b""},
    ],
    ids=["a byte less", "a file more", "a file less", "names changed", "manifest"],
)
def test_any_difference_has_another_digest(other: dict[str, bytes]) -> None:
    assert digest(packed(other)) != digest(packed(OURS))


def test_a_name_cannot_pass_for_a_name_and_a_content() -> None:
    hashed = sha256(b"1").hexdigest()
    assert bundle_digest({"a": b"1", "b": b"1"}) != bundle_digest({f"a {hashed}\nb": b"1"})


def test_what_is_no_bundle_is_said() -> None:
    whole = packed(OURS)
    for broken in (b"", b"no zip", whole[:-30], whole[:40] + b"\0\0\0\0" + whole[44:]):
        with pytest.raises(DataError, match="no app bundle"):
            bundle_files(broken)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_no_bundle(tmp_path: Path) -> None:
    """Which of the two is read would depend on who reads."""
    path = tmp_path / "twice.fab"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.py", "good")
        archive.writestr("a.py", "bad")
    with pytest.raises(DataError, match="the same name"):
        bundle_files(path.read_bytes())


def test_a_bundle_that_unpacks_to_too_much_is_not_unpacked() -> None:
    bomb = packed({"a.py": b"\0" * (65 << 20)})
    assert len(bomb) < 1 << 20
    with pytest.raises(DataError, match="unpacks to more than 64 MiB"):
        bundle_files(bomb)


def test_a_review_names_what_is_changed_new_and_missing() -> None:
    found = review({"a.py": b"x = 1\ny = 5\n", "c.py": b"import os\n", ".info/CONTENT": b"other"}, OURS)
    assert (found.changed, found.new, found.missing) == ((".info/CONTENT", "a.py"), ("c.py",), ("b.py",))
    assert not found.same
    lines = found.text.splitlines()
    assert {"-y = 2", "+y = 5", "+import os", "-z = 3", " x = 1"} <= set(lines)
    assert {"--- installed/a.py", "+++ bundle/a.py", "--- /dev/null", "+++ bundle/c.py", "+++ /dev/null"} <= set(lines)
    assert lines[-1] == f"digest {found.digest}"


def test_a_review_of_the_installed_bundle_shows_nothing() -> None:
    files = bundle_files(app_bundle())
    found = review(files, files)
    assert found.same
    assert "runs without approval" in found.text
    assert "@@" not in found.text


@pytest.mark.parametrize("content", [b"x = 1\r\ny = 2\r\n", b"x = 1\ny = 2"])
def test_a_difference_in_the_ends_of_lines_is_not_passed_over(content: bytes) -> None:
    found = review({**OURS, "a.py": content}, OURS)
    assert found.changed == ("a.py",)
    assert "different in the ends of its lines" in found.text


def test_a_review_shows_nothing_that_a_terminal_obeys_or_that_reads_otherwise() -> None:
    hidden = "x = 1\x1b[2K\x1b[1A  # \u202e nothing to see \u2066\n".encode()
    found = review({**OURS, "a.py": hidden, "\x1b[8m.py": b"evil\n", "raw.py": b"\xff\xfe"}, OURS)
    assert not {"\x1b", "\u202e", "\u2066"} & set(found.text)
    assert "raw.py is no text" in found.text


def test_what_is_granted_is_read_anew_and_can_be_taken_back(tmp_path: Path) -> None:
    grants = Grants(tmp_path / "new" / "granted.json")
    assert grants.names() == frozenset()
    grants.grant("a")
    grants.grant("b")
    assert Grants(grants.path).names() == {"a", "b"}
    grants.take_back("a")
    assert grants.names() == {"b"}
    with pytest.raises(DataError, match="a is not in it; it holds b"):
        grants.take_back("a")


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_grants_that_cannot_be_read_grant_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "granted.json").write_text(text)
    with pytest.raises(DataError, match="say yes anew"):
        Grants(tmp_path / "granted.json").names()


def test_of_refused_bundles_the_last_few_are_kept(tmp_path: Path) -> None:
    for number in range(8):
        path = keep_refused(tmp_path, f"{number:064x}", bytes([number]))
        os.utime(path, (number, number))
    kept = sorted(file.name for file in (tmp_path / "refused").iterdir())
    assert kept == [f"{number:064x}.fab" for number in range(3, 8)]
    assert find_bundle(f"{7:064x}", tmp_path) == b"\7"


def test_a_bundle_that_is_nowhere_is_said(tmp_path: Path) -> None:
    for named in ("0" * 64, "nowhere.fab", str(tmp_path)):
        with pytest.raises(DataError, match=r"ask the coordinator for its \.fab file"):
            find_bundle(named, tmp_path)


def test_review_then_approve_then_revoke_as_typed(site: Path) -> None:
    bundle = changed_bundle("import this  # planted")
    fab = site / "new.fab"
    fab.write_bytes(bundle)
    runner = CliRunner()
    shown = runner.invoke(app, ["review", str(fab)])
    assert shown.exit_code == 0, shown.output
    assert "+import this  # planted" in shown.output
    assert [line for line in shown.output.splitlines() if line.startswith("+++")] == ["+++ bundle/client/app.py"]
    told = shown.output.splitlines()[-1].removeprefix("digest ")
    assert told == digest(bundle)
    approved = approved_bundles(site / ".bloodnet" / "kept")
    for words in ([told], [str(fab)]):
        assert runner.invoke(app, ["approve", *words, "--site", str(site)]).exit_code == 0
        assert approved.names() == {told}
        assert runner.invoke(app, ["approve", *words, "--site", str(site), "--revoke"]).exit_code == 0
        assert approved.names() == frozenset()
    keep_refused(approved.path.parent, told, bundle)
    again = runner.invoke(app, ["review", told, "--site", str(site)])
    assert again.output == shown.output


def test_allow_as_typed(site: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(app, ["allow", "run-7", "--site", str(site)])
    assert (shown.exit_code, "ask_before_run is off" in shown.output) == (0, True)
    (site / "site.yaml").write_text("name: a\ndicom: [d]\npolicy: {ask_before_run: true}\n")
    assert runner.invoke(app, ["allow", "run-7", "--site", str(site)]).output == "allowed: run-7\n"
    assert runner.invoke(app, ["allow", "run-7", "--site", str(site), "--revoke"]).exit_code == 0
    with pytest.raises(DataError, match="run-7 is not in it"):
        runner.invoke(app, ["allow", "run-7", "--site", str(site), "--revoke"], catch_exceptions=False)
