"""Prepared studies on disk: kept whole, handed out in their places, never changed under a reader."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bloodnet_model.settings import ModelSettings
from bloodnet_model.study import Study
from client.groups import Groups
from client.store import Store, StoreWriter, key_of

MakeStudy = Callable[..., Study]


@pytest.fixture
def store(tmp_path: Path, small: ModelSettings) -> Store:
    return Store(tmp_path, small.preprocessing)


def assert_same(study: Study, expected: Study) -> None:
    for name in ("windows", "study_labels", "slice_labels", "mask_bits", "mask_known", "slice_mm"):
        assert_array_equal(getattr(study, name), getattr(expected, name), strict=True)


def pixel_bytes(store: Store) -> int:
    return sum(path.stat().st_size for path in store.folder.glob("*.u8"))


def test_studies_read_back_as_they_were_written(store: Store, make_study: MakeStudy) -> None:
    studies = [replace(make_study(1, slices=9), slice_mm=2.5), make_study(2, positive=False, slices=12), make_study(3)]
    with StoreWriter(store) as writer:
        for key, study in zip("abc", studies, strict=True):
            writer.append(key, study)
        writer.settle({"b": "train", "c": "test", "a": "train"}, "s")
    assert store.studies("validation") == ()
    for split, expected in (("train", [studies[1], studies[0]]), ("test", [studies[2]])):
        for study, wanted in zip(store.studies(split), expected, strict=True):  # type: ignore[arg-type]
            assert_same(study, wanted)
            assert not study.windows.flags.writeable
    assert_array_equal(store.study_labels("train"), [studies[1].study_labels, studies[0].study_labels])
    assert store.study_labels("validation").shape == (0, 6)
    assert store.stamp() == "s"


def test_groups_stand_beside_the_studies(store: Store, make_study: MakeStudy) -> None:
    with StoreWriter(store) as writer:
        for key in "abc":
            writer.append(key, make_study(1))
        writer.settle({"c": "test", "b": "test", "a": "train"}, "s", {"b": Groups("x-1", "old")})
        assert store.groups("test", "scanner") == ("unknown", "x-1")
        assert store.groups("test", "label") == ("unknown", "old")
        assert store.groups("test", "none") == ("", "")
        assert store.groups("validation", "scanner") == ()


def test_what_is_not_settled_is_not_seen(store: Store, make_study: MakeStudy) -> None:
    with StoreWriter(store) as writer:
        writer.append("a", make_study(1))
        writer.commit()
    assert store.studies("train") == ()
    assert store.stamp() == ""


def test_an_interrupted_append_leaves_no_trace(store: Store, make_study: MakeStudy) -> None:
    with StoreWriter(store) as writer:
        writer.append("a", make_study(1))
        writer.settle({"a": "train"}, "s")
    size = pixel_bytes(store)
    with StoreWriter(store) as writer:
        writer.append("b", make_study(2))  # never committed
    with StoreWriter(store) as writer:
        assert "a" in writer
        assert "b" not in writer
        writer.append("c", make_study(3))
        writer.settle({"a": "train", "c": "train"}, "t")
    assert pixel_bytes(store) == 2 * size
    assert_same(store.studies("train")[1], make_study(3))


def test_a_reader_keeps_what_it_sees(store: Store, make_study: MakeStudy) -> None:
    with StoreWriter(store) as writer:
        writer.append("a", make_study(1))
        writer.settle({"a": "train"}, "s")
    (seen,) = store.studies("train")
    for version in range(2, 8):  # enough that the files are written anew
        with StoreWriter(store) as writer:
            writer.append("a", make_study(version))
            writer.settle({"a": "train"}, "s")
    assert_same(seen, make_study(1))
    assert_same(store.studies("train")[0], make_study(7))


def test_space_is_given_back(store: Store, make_study: MakeStudy) -> None:
    keys = [f"k{i}" for i in range(8)]
    with StoreWriter(store) as writer:
        for i, key in enumerate(keys):
            writer.append(key, make_study(i))
        writer.settle(dict.fromkeys(keys, "train"), "s")
    whole = pixel_bytes(store)
    with StoreWriter(store) as writer:
        writer.settle(dict.fromkeys(keys[5:], "train"), "s")
    assert pixel_bytes(store) == whole * 3 // 8
    for i, study in zip((5, 6, 7), store.studies("train"), strict=True):
        assert_same(study, make_study(i))
    with StoreWriter(store) as writer:
        writer.append("new", make_study(20))
        writer.settle({"k6": "train", "new": "test"}, "s")
    assert_same(store.studies("train")[0], make_study(6))
    assert_same(store.studies("test")[0], make_study(20))


def test_a_study_without_a_split_is_kept_and_not_shown(store: Store, make_study: MakeStudy) -> None:
    with StoreWriter(store) as writer:
        writer.append("a", make_study(1))
        writer.settle({"a": None}, "s")
    assert store.studies("train") == ()
    with StoreWriter(store) as writer:
        assert "a" in writer


def test_damage_is_seen(store: Store, make_study: MakeStudy) -> None:
    assert store.is_sound(), "nothing there is nothing damaged"
    with StoreWriter(store) as writer:
        writer.append("a", make_study(1))
        writer.settle({"a": "train"}, "s")
    assert store.is_sound()
    pixels = next(store.folder.glob("windows*.u8"))
    pixels.write_bytes(pixels.read_bytes()[:-1])
    assert not store.is_sound()
    store.remove()
    assert store.is_sound()


def test_settings_have_stores_of_their_own(tmp_path: Path, small: ModelSettings) -> None:
    other = small.preprocessing.model_copy(update={"rows": 40})
    assert Store(tmp_path, small.preprocessing).folder != Store(tmp_path, other).folder


def test_arrays_of_another_shape_are_refused(store: Store) -> None:
    wrong = Study(
        np.zeros((2, 2, 8, 8), np.uint8),
        np.zeros(6, np.int8),
        np.zeros((2, 6), np.int8),
        np.zeros((2, 4, 4), np.uint8),
        np.ones(2, bool),
    )
    with StoreWriter(store) as writer, pytest.raises(ValueError, match="windows"):
        writer.append("a", wrong)


def test_a_key_names_nobody() -> None:
    assert key_of("1.2.3") == key_of("1.2.3") != key_of("1.2.4")
    assert "1.2.3" not in key_of("1.2.3")
