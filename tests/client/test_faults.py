"""A hospital in which everything goes wrong once: `check` names each fault, and finds none in a clean hospital."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import MediaStorageDirectoryStorage

from bloodnet_model.settings import ModelSettings
from client.check import check
from client.dataset import load_site, prepare
from client.preflight import Preflight
from tests.client.dicom_factory import (
    ROWS,
    head_hu,
    uid,
    write_labels,
    write_mask,
    write_series,
    write_site,
    write_slice,
)
from tests.client.dicom_syntaxes import write_compressed

CLEAN: Final = 12
FIRST: Final = CLEAN + 1
SECOND_VISIT: Final = 63
"""Heads repeat after 64 studies."""
Row = dict[str, Any]


@dataclass
class Place:
    """Where one fault is planted: a study of its own, whose rows of the labels file it may change."""

    site: Path
    study: int
    rows: list[Row] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.site / "dicom" / str(self.study)

    def whole(self, **tags: Any) -> list[Path]:
        """A study without fault but for `tags`."""
        self.rows = [{"study_instance_uid": uid(self.study), "any": 1}]
        return write_series(self.folder, **{"study": self.study, "patient": f"P{self.study}", **tags})

    def one(self, name: str = "odd", index: int = 4, **tags: Any) -> tuple[str, str]:
        """A study whose fifth slice has `tags`; returns that file."""
        path = self.whole()[index]
        hu = tags.pop("hu", head_hu(self.study)[index])
        write_slice(path, hu, index=index, study=self.study, patient=f"P{self.study}", **tags)
        return "file", str(path.rename(path.with_name(name)))

    def added(self, hu: NDArray[Any] | None = None, **tags: Any) -> tuple[str, str]:
        """A whole study with one more file beside it."""
        self.whole()
        plane = head_hu(self.study)[0] if hu is None else hu
        known: Row = {"index": 50, "study": self.study, "series": 9, "patient": f"P{self.study}"}
        return "file", str(write_slice(self.folder / "more", plane, **{**known, **tags}))

    @property
    def series(self) -> tuple[str, str]:
        return "series", uid(self.study, 1)

    @property
    def as_study(self) -> tuple[str, str]:
        return "study", uid(self.study)


Fault = Callable[[Place], tuple[str, str]]


def of_series(**tags: Any) -> Fault:
    def plant(place: Place) -> tuple[str, str]:
        place.whole(**tags)
        return place.series

    return plant


def one(**tags: Any) -> Fault:
    return lambda place: place.one(**tags)


def added(**tags: Any) -> Fault:
    return lambda place: place.added(**tags)


def of_hu(change: Callable[[NDArray[np.float32]], NDArray[Any]]) -> Fault:
    def plant(place: Place) -> tuple[str, str]:
        place.whole(hu=change(head_hu(place.study)))
        return place.as_study

    return plant


def of_row(**cells: Any) -> Fault:
    """One cell of the study's row; the study is named."""

    def plant(place: Place) -> tuple[str, str]:
        place.whole()
        place.rows[0] |= cells
        return place.as_study

    return plant


def text_file(place: Place) -> tuple[str, str]:
    place.whole()
    (place.folder / "readme.txt").write_text("exported by hand\n")
    return "file", str(place.folder / "readme.txt")


def broken_zip(place: Place) -> tuple[str, str]:
    place.whole()
    (place.folder / "export.zip").write_bytes(b"PK\3\4" + bytes(80))
    return "file", str(place.folder / "export.zip")


def dangling_link(place: Place) -> tuple[str, str]:
    place.whole()
    (place.folder / "lost.dcm").symlink_to(place.folder / "nowhere")
    return "file", str(place.folder / "lost.dcm")


def unknown_syntax(place: Place) -> tuple[str, str]:
    path = place.whole()[4]
    write_compressed(path, head_hu(place.study)[4], "1.2.840.10008.1.2.4.70", index=4, study=place.study)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.4.94"))
    return "file", str(path)


def stream_of_another_size(place: Place) -> tuple[str, str]:
    path = place.whole()[4]
    plane = head_hu(place.study)[4]
    write_compressed(path, plane[:-2], "1.2.840.10008.1.2.4.70", index=4, study=place.study, Rows=ROWS)
    return "file", str(path)


def copied_file(place: Place) -> tuple[str, str]:
    path = place.whole()[4]
    return "file", str(shutil.copy(path, path.with_name("z-copy.dcm")))


def copied_study(place: Place) -> tuple[str, str]:
    place.whole(hu=head_hu(1))
    return place.as_study


def removed_slice(place: Place) -> tuple[str, str]:
    place.whole()[4].unlink()
    return place.series


def halved_distances(place: Place) -> tuple[str, str]:
    for index, path in enumerate(place.whole()):
        known: Row = {"index": index, "study": place.study, "patient": f"P{place.study}"}
        write_slice(path, head_hu(place.study)[index], **known, ImagePositionPatient=[-84, -96, 2.5 * index])
    return place.series


def thick_end(place: Place) -> tuple[str, str]:
    for index, path in enumerate(place.whole()):
        known: Row = {"index": index, "study": place.study, "patient": f"P{place.study}"}
        write_slice(path, head_hu(place.study)[index], **known, SliceThickness=5 if index < 5 else 5.5)
    return place.series


def short_series(place: Place) -> tuple[str, str]:
    for path in place.whole()[3:]:
        path.unlink()
    return place.series


def many_cut_off(place: Place) -> tuple[str, str]:
    for path in place.whole()[3:]:
        path.write_bytes(path.read_bytes()[:-900])
    return place.as_study


def contradicting_rows(place: Place) -> tuple[str, str]:
    place.whole()
    place.rows.append({**place.rows[0], "any": 0})
    return place.as_study


def split_patient(place: Place) -> tuple[str, str]:
    """A patient with two studies, whom the rows put on two sides."""
    write_series(place.folder, study=place.study, patient="twice")
    write_series(place.folder / "second", study=SECOND_VISIT, patient="twice")
    place.rows = [
        {"study_instance_uid": uid(place.study), "any": 1, "split": "train"},
        {"study_instance_uid": uid(SECOND_VISIT), "any": 1, "split": "test"},
    ]
    return place.as_study


def row_without_study(place: Place) -> tuple[str, str]:
    place.whole()
    place.rows.append({"study_instance_uid": uid(9999), "any": 0})
    return "label", uid(9999)


def no_row(place: Place) -> tuple[str, str]:
    place.whole()
    place.rows = []
    return place.as_study


def masked(codes: NDArray[Any] | bytes | None, affine: NDArray[Any] | None = None, **cells: Any) -> Fault:
    """A study with a mask; the row that names it is meant."""

    def plant(place: Place) -> tuple[str, str]:
        place.whole()
        path = place.site / f"mask-{place.study}.nii"
        if isinstance(codes, bytes):
            path.write_bytes(codes)
        elif codes is not None:
            write_mask(path, codes, affine)
        place.rows[0] |= {"mask": path.name, **cells}
        return "label", path.name

    return plant


def sliced_conflict(place: Place) -> tuple[str, str]:
    plant = masked(blood())(place)
    place.rows.append({"study_instance_uid": uid(place.study), "sop_instance_uid": uid(place.study, 1, 5), "any": 0})
    return plant


def blood(code: int = 2) -> NDArray[np.uint8]:
    codes = np.zeros((28, 32, 10), np.uint8)
    codes[10:18, 8:16, 3:7] = code
    return codes


def no_tissue(hu: NDArray[np.float32]) -> NDArray[Any]:
    return np.where((hu > -500) & (hu < 500), -1000, hu)


LEANING = np.array([[-6.0, 0, 0, 84], [0, -5.6, 2.0, 96], [0, 2.1, 4.6, 0], [0, 0, 0, 1]])
CORONAL = [1, 0, 0, 0, 0, -1]
FAULTS: Mapping[str, tuple[Fault, str]] = {
    "text file": (text_file, "not-dicom"),
    "broken zip": (broken_zip, "bad-archive"),
    "link to nowhere": (dangling_link, "missing-file"),
    "index of files": (added(SOPClassUID=MediaStorageDirectoryStorage), "dicomdir"),
    "another modality": (added(Modality="MR"), "not-ct"),
    "dose report": (added(Modality="SR", PixelData=None), "not-ct"),
    "no series UID": (one(SeriesInstanceUID=None), "bad-header"),
    "no pixels": (one(PixelData=None), "no-pixels"),
    "pixels cut off": (one(PixelData=b"\0" * 90), "truncated"),
    "unknown syntax": (unknown_syntax, "undecodable"),
    "stream of another size": (stream_of_another_size, "wrong-shape"),
    "screenshot": (added(SamplesPerPixel=3), "not-greyscale"),
    "no slope": (one(RescaleSlope=None), "no-rescale"),
    "no spacing": (one(PixelSpacing=None), "no-spacing"),
    "no orientation": (one(ImageOrientationPatient=None), "no-orientation"),
    "no position": (one(ImagePositionPatient=None), "no-position"),
    "scout": (added(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "localizer"),
    "secondary capture": (added(ImageType=["DERIVED", "SECONDARY"]), "secondary"),
    "another spacing": (one(PixelSpacing=[3, 3]), "mixed-geometry"),
    "copied file": (copied_file, "duplicate-file"),
    "second slice at a place": (one(ImagePositionPatient=[-84, -96, 15.0]), "duplicate-position"),
    "derived series": (of_series(ImageType=["DERIVED", "PRIMARY"]), "derived"),
    "coronal series": (of_series(ImageOrientationPatient=CORONAL), "not-axial"),
    "leftover": (short_series, "too-few-slices"),
    "angiography": (of_series(SeriesDescription="CTA COW"), "angiography"),
    "contrast agent": (of_series(ContrastBolusAgent="OMNIPAQUE"), "contrast"),
    "bone kernel": (of_series(ConvolutionKernel="BONE"), "bone"),
    "no positions at all": (of_series(ImagePositionPatient=None), "by-instance-number"),
    "missing slice": (removed_slice, "gap"),
    "overlapping slices": (halved_distances, "overlap"),
    "two thicknesses": (thick_end, "mixed-thickness"),
    "phantom without tissue": (of_hu(no_tissue), "not-a-head"),
    "wrong intercept": (of_hu(lambda hu: hu + 1024), "not-a-head"),
    "another part of the body": (of_hu(lambda hu: np.where(hu > 500, 40, hu)), "not-a-head"),
    "copied study": (copied_study, "duplicate-pixels"),
    "most slices cut off": (many_cut_off, "too-few-readable"),
    "subtype without any": (of_row(any=0, subdural=1), "label-conflict"),
    "label of 2": (of_row(any=2), "bad-label"),
    "contradicting rows": (contradicting_rows, "label-conflict"),
    "patient in two splits": (split_patient, "label-conflict"),
    "study without row": (no_row, "no-label"),
    "row without study": (row_without_study, "without-study"),
    "missing mask": (masked(None), "mask-missing"),
    "broken mask": (masked(b"no mask"), "mask-unreadable"),
    "mask of another size": (masked(blood()[:, :, :5]), "mask-size"),
    "mask elsewhere": (masked(blood(), LEANING), "mask-geometry"),
    "mask of other values": (masked(blood(17)), "mask-values"),
    "mask against label": (masked(blood(), any=0), "mask-contradicts"),
    "mask against slice": (sliced_conflict, "mask-slice-conflict"),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, tuple[str, str]]]:
    """The hospital, and for each fault the kind and item of the ledger that it is planted in."""
    folder = write_site(tmp_path_factory.mktemp("faulty"), {k: k % 2 for k in range(1, CLEAN + 1)})
    rows: list[Row] = [{"study_instance_uid": uid(k), "any": k % 2} for k in range(1, CLEAN + 1)]
    planted = {}
    for number, (name, (plant, _)) in enumerate(FAULTS.items()):
        place = Place(folder, FIRST + number)
        planted[name] = plant(place)
        rows += place.rows
    write_labels(folder / "labels.csv", rows)
    return folder, planted


def found(preflight: Preflight, folder: Path) -> dict[tuple[str, str], str]:
    return {(entry.kind, entry.item.removeprefix(f"{folder}/")): entry.reason for entry in preflight.entries}


@pytest.fixture(scope="module")
def preflight(faulty: tuple[Path, Any], small: ModelSettings) -> Preflight:
    return check(load_site(faulty[0]), small.preprocessing, None, lambda stage, done, total: None)[0]


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named(
    name: str, faulty: tuple[Path, Mapping[str, tuple[str, str]]], preflight: Preflight
) -> None:
    folder, planted = faulty
    kind, item = planted[name]
    if kind == "label":
        lines = (folder / "labels.csv").read_text().splitlines()
        item = next(f"line {number}" for number, text in enumerate(lines, start=1) if item in text)
    assert found(preflight, folder)[kind, item.removeprefix(f"{folder}/")] == FAULTS[name][1]


def test_nothing_else_is_called_faulty(faulty: tuple[Path, Any], preflight: Preflight) -> None:
    """The clean studies of the faulty hospital are used, and so is every study that only lost a file."""
    ledger = found(preflight, faulty[0])
    assert all(ledger["study", uid(k)] == "" for k in range(1, CLEAN + 1))
    whole = [name for name, (kind, _) in faulty[1].items() if kind in ("file", "label")]
    for name in whole:
        assert ledger["study", uid(FIRST + list(FAULTS).index(name))] == "", name


def test_the_faulty_hospital_is_not_ready_and_says_so(preflight: Preflight) -> None:
    text = json.dumps(preflight.to_json())
    assert preflight.verdict == "not ready"
    assert "low-coverage" in text
    assert ".dcm" not in text
    assert uid(FIRST) not in text


def test_what_is_prepared_is_what_the_check_found(
    faulty: tuple[Path, Any], preflight: Preflight, small: ModelSettings
) -> None:
    assert prepare(load_site(faulty[0]), small.preprocessing).ledger_counts() == preflight.counts


def test_a_clean_hospital_has_no_warning(tmp_path: Path, small: ModelSettings) -> None:
    site = load_site(write_site(tmp_path, {k: k % 2 for k in range(1, CLEAN + 1)}, minimum_cohort=1))
    preflight, samples = check(site, small.preprocessing, None, lambda stage, done, total: None)
    assert preflight.verdict == "ready"
    assert {entry.reason for entry in preflight.entries} == {""}
    assert preflight.coverage.share == 1
    assert {sample.said for sample in samples} == {"hemorrhage", "no hemorrhage"}
