"""site.yaml."""

from pathlib import Path

import pytest

from bloodnet_model.errors import DataError, SettingsError
from client.site_settings import read_site


def write(folder: Path, text: str) -> Path:
    (folder / "site.yaml").write_text(text)
    return folder


def test_defaults_and_places(tmp_path: Path) -> None:
    site = read_site(write(tmp_path, "name: st-elsewhere\ndicom: [pacs]\n"))
    assert (site.settings.minimum_cohort, site.settings.series.minimum_slices) == (10, 8)
    assert (site.labels, site.cache) == (tmp_path / "labels.csv", tmp_path / ".bloodnet")
    assert site.ledger.parent == site.preview.parent == site.cache


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "name: a\ndicom: [b]\nseries: {minimum_slice: 4}\n",
            "minimum_slice: unknown setting; did you mean minimum_slices?",
        ),
        ("name: St Elsewhere\ndicom: [b]\n", "name"),
        ("name: a\n", "name either dicom or members"),
        ("name: a\ndicom: [b]\nmembers: [c]\n", "name either dicom or members"),
        ("name: a\ndicom: [b]\ntest_share: 0.6\nvalidation_share: 0.4\n", "leave no patient to train on"),
        ("name: a\ndicom: [b]\nminimum_cohort: none\n", "minimum_cohort"),
        ("name: a\ndicom: [b]\ndevice: cuda\n", "device: Input should be 'auto', 'cpu' or 'gpu'; received 'cuda'"),
        ("name: a\ndicom: [b]\ngroups: scanners\n", "groups: Input should be 'none', 'scanner' or 'label'"),
        ("name: a\ndicom: [b]\ngpu_memory_share: 0\n", "gpu_memory_share"),
        ("name: a\ndicom: [b]\ngpu_memory_share: 1.5\n", "gpu_memory_share"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_site(write(tmp_path, text))
    assert said in str(caught.value)
    assert "site.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["name: [", "just words", ""])
def test_no_settings_at_all(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"site\.yaml"):
        read_site(write(tmp_path, text))


def test_no_site_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"site\.yaml: there is no such file; write one"):
        read_site(tmp_path)
