"""Arrays on disk: whole or not at all, and fresh only while nothing has changed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bloodnet_model.errors import DataError
from bloodnet_model.settings import ModelSettings
from bloodnet_model.study import Study
from client.cache import PreparedWriter, commit, fingerprint, fresh_folder, locked, new_folder, read_studies
from client.ledger import Ledger
from client.site_settings import Site, SiteSettings
from client.splits import Split

MakeStudy = Callable[..., Study]
SETTINGS = {"name": "a", "dicom": ("dicom",)}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "labels.csv").write_text("labels")
    (tmp_path / "1.dcm").write_text("slice")
    (tmp_path / "mask.nii").write_text("mask")
    return Site(tmp_path, SiteSettings.model_validate(SETTINGS))


def changed(site: Site, **settings: object) -> Site:
    return Site(site.folder, SiteSettings.model_validate({**SETTINGS, **settings}))


def build(site: Site, small: ModelSettings, fails: bool = False) -> Path:
    files, masks = [site.folder / "1.dcm"], [site.folder / "mask.nii"]
    with locked(site), new_folder(site) as folder:
        with PreparedWriter(folder, small.preprocessing):
            if fails:
                raise KeyboardInterrupt
        Ledger(site.folder).write(site.ledger)
        commit(site, folder, fingerprint(site, files, masks, small.preprocessing), masks)
    return folder


def fresh(site: Site, small: ModelSettings) -> Path | None:
    return fresh_folder(site, [site.folder / "1.dcm"], small.preprocessing)


def test_studies_read_back_as_they_were_written(tmp_path: Path, small: ModelSettings, make_study: MakeStudy) -> None:
    written: dict[Split, list[Study]] = {
        "train": [make_study(1, slices=9), make_study(2, positive=False, slices=12)],
        "test": [make_study(3)],
    }
    with PreparedWriter(tmp_path, small.preprocessing) as writer:
        for split, studies in written.items():
            for study in studies:
                writer.append(split, study)
    assert read_studies(tmp_path, "validation") == ()
    for split, studies in written.items():
        for study, expected in zip(read_studies(tmp_path, split), studies, strict=True):
            for name in ("windows", "study_labels", "slice_labels", "mask_bits", "mask_known"):
                assert_array_equal(getattr(study, name), getattr(expected, name), strict=True)
            assert not study.windows.flags.writeable


def test_fresh_until_something_changes(site: Site, small: ModelSettings) -> None:
    assert fresh(site, small) is None
    folder = build(site, small)
    assert fresh(site, small) == folder
    for name in ("1.dcm", "labels.csv", "mask.nii"):
        path = site.folder / name
        path.write_text(path.read_text() + "!")
        assert fresh(site, small) is None, name
        folder = build(site, small)
        assert fresh(site, small) == folder
    other = small.preprocessing.model_copy(update={"rows": 40})
    assert fresh_folder(site, [site.folder / "1.dcm"], other) is None
    assert fresh_folder(site, [], small.preprocessing) is None
    assert fresh(changed(site, minimum_slices=9), small) is None
    assert fresh(changed(site, minimum_cohort=50, name="b"), small) == folder, "no array depends on these"


def test_an_interrupted_build_leaves_the_one_before(site: Site, small: ModelSettings) -> None:
    folder = build(site, small)
    with pytest.raises(KeyboardInterrupt):
        build(site, small, fails=True)
    assert fresh(site, small) == folder
    assert list(site.cache.glob("prepared-*")) == [folder]


def test_a_new_build_takes_the_place_of_the_old(site: Site, small: ModelSettings) -> None:
    build(site, small)
    folder = build(site, small)
    assert list(site.cache.glob("prepared-*")) == [folder]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"folder": "x", "masks": [], "fingerprint": "y"}'])
def test_a_damaged_pointer_is_no_cache(site: Site, small: ModelSettings, text: str) -> None:
    build(site, small)
    (site.cache / "current.json").write_text(text)
    assert fresh(site, small) is None


def test_a_cache_that_cannot_be_written_is_named(site: Site, small: ModelSettings) -> None:
    site.cache.write_text("a file stands where the folder should be")
    with pytest.raises(DataError, match=r"\.bloodnet: cannot be written .*`cache`"):
        build(site, small)


def test_the_writer_refuses_arrays_of_another_shape(tmp_path: Path, small: ModelSettings) -> None:
    wrong = Study(
        np.zeros((2, 2, 8, 8), np.uint8),
        np.zeros(6, np.int8),
        np.zeros((2, 6), np.int8),
        np.zeros((2, 4, 4), np.uint8),
        np.ones(2, bool),
    )
    with PreparedWriter(tmp_path, small.preprocessing) as writer, pytest.raises(AssertionError):
        writer.append("train", wrong)
