"""The admission file: what it says, and that a change of a single byte of it is found."""

import json
import stat
import string
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from bloodnet_model.errors import DataError, SettingsError
from bloodnet_model.settings import ModelSettings
from client.admission import admission_file, indexed_admission_file, label_kinds
from client.dataset import load_site, prepare
from client.keys import make_node_key, public_key
from client.site_settings import Site, SiteSettings
from strategies.admission import LONGEST_BYTES, Admission, openssh_line, signed, verified
from tests.client.dicom_factory import uid, write_labels, write_mask, write_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    make_node_key(tmp_path / "node.key")
    return Site(tmp_path, SiteSettings(name="site-a", dicom=("/pacs/Meier^Anna",), minimum_cohort=10))


def changed(file: Path, **changes: Any) -> bytes:
    told = json.loads(file.read_text())
    return json.dumps(told | {"admission": told["admission"] | changes}).encode()


def test_the_file_says_what_the_coordinator_asks_for_and_no_more(site: Site) -> None:
    counts = {"train-studies": 120, "train-positive": 10, "test-positive": 9}
    file = admission_file(site, ("study", "mask"), counts)
    assert file == site.folder / "site-a.admission.json"
    assert verified(file.read_bytes(), "it") == Admission(
        site="site-a",
        public_key=public_key(site.folder / "node.key").strip(),
        version=version("bloodnet-federation"),
        labels=("study", "mask"),
        counts={"train-studies": 120, "train-positive": 10},
    )
    assert b"Meier" not in file.read_bytes()
    assert b"PRIVATE" not in file.read_bytes()
    assert stat.S_IMODE((site.folder / "node.key").stat().st_mode) == 0o600


def test_once_its_data_are_indexed_a_site_says_what_it_knows_of_them(tmp_path: Path, small: ModelSettings) -> None:
    folder = write_site(tmp_path, {k: k % 2 for k in range(1, 9)})
    data = prepare(load_site(folder), small.preprocessing)
    assert indexed_admission_file(data) is None  # there is no key
    make_node_key(folder / "node.key")
    file = indexed_admission_file(data)
    assert file is not None
    told, least = verified(file.read_bytes(), "it"), data.site.settings.minimum_cohort
    assert told.counts == {kind: count for kind, count in data.counts().items() if count >= least}
    assert told.labels == ("study",)
    codes = np.zeros((28, 32, 10), np.uint8)
    codes[10:18, 8:16] = 2
    write_mask(folder / "m.nii", codes)
    write_labels(folder / "labels.csv", [{"study_instance_uid": uid(1), "any": 1, "mask": "m.nii"}])
    assert label_kinds(prepare(load_site(folder), small.preprocessing)) == ("study", "slice", "mask")


@given(place=st.integers(0, 10_000), to=st.sampled_from(string.printable))
@example(place=142, to="0")  # of the key: its point would be a compressed one
def test_whoever_changes_a_byte_changes_nothing_that_is_believed(place: int, to: str) -> None:
    key = ec.derive_private_key(4711, ec.SECP384R1())
    admission = Admission(site="site-a", public_key=openssh_line(key.public_key()), version="0.1.0")
    text = signed(admission, key)
    place %= len(text)
    with suppress(DataError, SettingsError):
        assert verified((text[:place] + to + text[place + 1 :]).encode(), "it") == admission


def test_a_copied_public_key_is_not_enough(site: Site, tmp_path: Path) -> None:
    """Who has only the public half cannot sign with it."""
    told = verified(admission_file(site).read_bytes(), "it")
    forged = signed(told.model_copy(update={"site": "site-b"}), ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(DataError, match="its signature is not that of the key in it"):
        verified(forged.encode(), "it")


@pytest.mark.parametrize(
    "changes",
    [{"site": "../evil"}, {"counts": {"a b": 1}}, {"counts": {"train-studies": -1}}, {"labels": ["x"]}, {"more": 1}],
)
def test_what_is_no_admission_is_said_with_its_place(site: Site, changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=rf"it\.{next(iter(changes))}"):
        verified(changed(admission_file(site), **changes), "it")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\x80\x04K\x01.", b"[" * 50_000, b" " * (LONGEST_BYTES + 1)])
def test_other_files_are_no_admission_files(content: bytes) -> None:
    with pytest.raises(DataError, match="is no admission file"):
        verified(content, "it")


def test_only_one_plain_line_is_a_key(site: Site) -> None:
    file, line = admission_file(site), public_key(site.folder / "node.key").strip()
    other = openssh_line(ec.generate_private_key(ec.SECP256R1()).public_key())
    for wrong, why in ((f"{line} anna@pacs", "one plain OpenSSH line"), (other, "not on NIST P-384"), ("x", "not on")):
        with pytest.raises(DataError, match=why):
            verified(changed(file, public_key=wrong), "it")


def test_without_a_key_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        admission_file(Site(tmp_path, SiteSettings(name="site-a", dicom=("d",))))
    assert not list(tmp_path.iterdir())
