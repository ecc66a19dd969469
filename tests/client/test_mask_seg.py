"""DICOM SEG masks on DICOM slices, in files that highdicom writes."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from highdicom.content import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence
from highdicom.seg import Segmentation, SegmentDescription
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from pydicom.pixels.utils import pack_bits
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import RLELossless, generate_uid

from bloodnet_model.reasons import REASONS
from client.geometry import STANDARD_AXIAL
from client.masks import UnusableMask, read_mask
from client.slice_header import SliceHeader
from tests.client.dicom_factory import COLUMNS, ROWS, SPACING_MM, make_header, uid, write_slice

UNKNOWN = np.full(6, -1, np.int8)
SLICES = 5
FRAME_OF_REFERENCE = "1.2.826.0.1.3680043.10.77"
TISSUE = Code("85756007", "SCT", "Tissue")
SUBDURAL, ANY = 0b100001, 0b000001
SHAPES = np.random.default_rng(2).random((SLICES, ROWS, COLUMNS, 2)) < 0.2  # (slices, rows, columns, segments)
SHAPES[3] = False  # no blood, so no frame


def segment(number: int, label: str, kind: Code = TISSUE, **more: Any) -> SegmentDescription:
    return SegmentDescription(number, label, codes.SCT.MorphologicallyAbnormalStructure, kind, "MANUAL", **more)


EPIDURAL_AND_SUBDURAL = [segment(1, "Epidural hemorrhage"), segment(2, "SDH left")]


def sources(folder: Path, **tags: Any) -> list[pydicom.Dataset]:
    """The files of one series, as a viewer hands them to whoever draws on them."""
    hu = np.zeros((ROWS, COLUMNS))
    required = {
        "PatientName": "",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyID": "",
        "StudyDate": "",
        "StudyTime": "",
    }
    tags = {**required, "FrameOfReferenceUID": FRAME_OF_REFERENCE, "ReferringPhysicianName": "", **tags}
    return [pydicom.dcmread(write_slice(folder / f"{index}.dcm", hu, index=index, **tags)) for index in range(SLICES)]


def headers(folder: Path, **fields: Any) -> list[SliceHeader]:
    return [make_header(index, path=folder / f"{index}.dcm", **fields) for index in range(SLICES)]


def write_seg(
    path: Path,
    images: Sequence[pydicom.Dataset],
    pixels: NDArray[Any],
    segments: Sequence[SegmentDescription],
    change: Callable[[Segmentation], None] = lambda seg: None,
    kind: str = "BINARY",
    **more: Any,
) -> Path:
    seg = Segmentation(
        images, pixels, kind, segments, generate_uid(), 1, generate_uid(), 1, "maker", "model", "1", "serial", **more
    )
    change(seg)
    seg.save_as(path)
    return path


def expected(shapes: NDArray[Any], *bits: int) -> NDArray[np.uint8]:
    drawn = np.zeros(shapes.shape[:3], np.uint8)
    for number, value in enumerate(bits):
        drawn |= np.where(shapes[..., number], value, 0).astype(np.uint8)
    return drawn


BOTH = expected(SHAPES, 0b000011, SUBDURAL)


def without_sources(seg: Segmentation) -> None:
    """As some writers leave it: planes, and nothing of what they were drawn on."""
    for groups in seg.PerFrameFunctionalGroupsSequence:
        del groups.DerivationImageSequence
    del seg.ReferencedSeriesSequence


def shuffled(seg: Segmentation) -> None:
    """Frames in another order, each with its pixels."""
    order = np.random.default_rng(3).permutation(seg.NumberOfFrames)
    frames = seg.pixel_array[order]
    groups = list(seg.PerFrameFunctionalGroupsSequence)
    seg.PerFrameFunctionalGroupsSequence = [groups[k] for k in order]
    seg.PixelData = pack_bits(frames.ravel())


@pytest.mark.parametrize("change", [lambda seg: None, without_sources, shuffled], ids=["sources", "planes", "shuffled"])
def test_segments_that_overlap_find_their_slices(tmp_path: Path, change: Callable[[Segmentation], None]) -> None:
    path = write_seg(tmp_path / "mask.nii.gz", sources(tmp_path), SHAPES, EPIDURAL_AND_SUBDURAL, change)
    assert_array_equal(read_mask(path, headers(tmp_path), UNKNOWN), BOTH)
    assert_array_equal(read_mask(path, headers(tmp_path)[::-1], UNKNOWN), BOTH[::-1])
    assert_array_equal(read_mask(path, headers(tmp_path)[1:3], UNKNOWN), BOTH[1:3])


@pytest.mark.parametrize("change", [lambda seg: None, without_sources], ids=["sources", "planes"])
def test_slices_without_a_frame_show_no_blood(tmp_path: Path, change: Callable[[Segmentation], None]) -> None:
    only_one = np.zeros_like(SHAPES)
    only_one[2] = SHAPES[2]
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), only_one, EPIDURAL_AND_SUBDURAL, change)
    assert pydicom.dcmread(path).NumberOfFrames == 2
    found = read_mask(path, headers(tmp_path), UNKNOWN)
    assert_array_equal(found[2], BOTH[2])
    assert not found[[0, 1, 3, 4]].any()


@pytest.fixture(scope="module", params=[lambda seg: None, without_sources], ids=["sources", "planes"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seg")
    return write_seg(folder / "m.dcm", sources(folder), SHAPES, EPIDURAL_AND_SUBDURAL, request.param)


@given(order=st.permutations(range(SLICES)), kept=st.integers(1, SLICES))
def test_shuffled_slices_shuffle_the_mask(written: Path, order: list[int], kept: int) -> None:
    chosen = order[:kept]
    if chosen == [3]:  # the one slice that shows nothing has no frame, so nothing says that the mask is its
        return
    found = read_mask(written, [headers(written.parent)[index] for index in chosen], UNKNOWN)
    assert_array_equal(found, BOTH[chosen])


@pytest.mark.parametrize(
    ("study", "bits"), [([1, 0, 0, 0, 0, 1], SUBDURAL), ([1, 0, 1, 0, 0, 1], ANY), ([1, -1, -1, -1, -1, -1], ANY)]
)
def test_blood_of_an_unnamed_kind_takes_it_from_the_study(tmp_path: Path, study: list[int], bits: int) -> None:
    segments = [segment(1, "ICH", Code("50960005", "SCT", "Hemorrhage"))]
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), SHAPES[..., :1], segments)
    assert_array_equal(read_mask(path, headers(tmp_path), np.array(study, np.int8)), expected(SHAPES[..., :1], bits))


def test_beside_a_named_kind_the_unnamed_stays_unnamed(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), SHAPES, [segment(1, "SAH"), segment(2, "other blood")])
    study = np.array([1, 0, 0, 0, 1, 0], np.int8)
    assert_array_equal(read_mask(path, headers(tmp_path), study), expected(SHAPES, 0b010001, ANY))


def test_fractions_count_from_a_half(tmp_path: Path) -> None:
    fractions = np.zeros((SLICES, ROWS, COLUMNS))
    fractions[1, 4, 5:9] = 0.2, 0.49, 0.51, 1.0
    segments = [segment(1, "SDH")]
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), fractions, segments, kind="FRACTIONAL")
    assert_array_equal(np.argwhere(read_mask(path, headers(tmp_path), UNKNOWN) == SUBDURAL), [[1, 4, 7], [1, 4, 8]])


def test_a_label_map(tmp_path: Path) -> None:
    numbers = np.random.default_rng(4).integers(0, 3, (SLICES, ROWS, COLUMNS)).astype(np.uint8)
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), numbers, EPIDURAL_AND_SUBDURAL, kind="LABELMAP")
    assert_array_equal(read_mask(path, headers(tmp_path), UNKNOWN), np.array([0, 0b11, SUBDURAL], np.uint8)[numbers])


def test_compressed_frames(tmp_path: Path) -> None:
    segments = [segment(1, "SDH")]
    path = write_seg(
        tmp_path / "m.dcm",
        sources(tmp_path),
        SHAPES[..., 0].astype(float),
        segments,
        kind="FRACTIONAL",
        transfer_syntax_uid=RLELossless,
    )
    assert_array_equal(read_mask(path, headers(tmp_path), UNKNOWN), expected(SHAPES[..., :1], SUBDURAL))


def test_frames_of_a_multi_frame_ct(tmp_path: Path) -> None:
    """One SOPInstanceUID for all slices: the frame's number tells them apart, from 1 in DICOM and from 0 in headers."""

    def of_frames(seg: Segmentation) -> None:
        for groups in seg.PerFrameFunctionalGroupsSequence:
            image = groups.DerivationImageSequence[0].SourceImageSequence[0]
            if "ReferencedFrameNumber" not in image:  # frames of several segments share it
                image.ReferencedFrameNumber = int(image.ReferencedSOPInstanceUID.split(".")[-1])
                image.ReferencedSOPInstanceUID = uid(7)

    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), SHAPES, EPIDURAL_AND_SUBDURAL, of_frames)
    frames = [make_header(index, sop_uid=uid(7), frame=index, position_mm=None) for index in range(SLICES)]
    assert_array_equal(read_mask(path, frames[::-1], UNKNOWN), BOTH[::-1])


def test_a_mask_of_another_series_is_laid_by_its_planes(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), SHAPES, EPIDURAL_AND_SUBDURAL)
    soft = [make_header(index, series=2, position_mm=(-84.0, -96.0, 5.0 * index + 0.6)) for index in range(SLICES)]
    assert_array_equal(read_mask(path, soft, UNKNOWN), BOTH)


def turned(flips: tuple[bool, bool], transposed: bool) -> Mapping[str, Any]:
    """Plane orientation and positions of frames whose axes run otherwise than those of the slices."""
    along_row, along_column = np.array(STANDARD_AXIAL).reshape(2, 3)
    origin = np.array([-84.0, -96.0, 0.0])
    if flips[0]:
        origin, along_column = origin + along_column * SPACING_MM * (ROWS - 1), -along_column
    if flips[1]:
        origin, along_row = origin + along_row * SPACING_MM * (COLUMNS - 1), -along_row
    if transposed:
        along_row, along_column = along_column, along_row
    return {
        "plane_orientation": PlaneOrientationSequence("PATIENT", [*along_row, *along_column]),
        "plane_positions": [
            PlanePositionSequence("PATIENT", origin + np.array([0, 0, 5.0 * k])) for k in range(SLICES)
        ],
        "pixel_measures": PixelMeasuresSequence([SPACING_MM, SPACING_MM], 5.0),
    }


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
def test_frames_whose_axes_run_otherwise(tmp_path: Path, flips: tuple[bool, bool], transposed: bool) -> None:
    pixels = SHAPES[:, :: -1 if flips[0] else 1, :: -1 if flips[1] else 1]
    pixels = np.ascontiguousarray(pixels.swapaxes(1, 2) if transposed else pixels)
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), pixels, EPIDURAL_AND_SUBDURAL, **turned(flips, transposed))
    assert_array_equal(read_mask(path, headers(tmp_path), UNKNOWN), BOTH)


def complaint(path: Path, slices: Sequence[SliceHeader]) -> tuple[str, str]:
    with pytest.raises(UnusableMask) as caught:
        read_mask(path, slices, UNKNOWN)
    assert caught.value.reason in REASONS
    return caught.value.reason, str(caught.value)


def moved(axis: int, by_mm: float, *, named: bool = False) -> Callable[[Segmentation], None]:
    """Frames elsewhere; they go on naming the slices that they were drawn on if `named`."""

    def move(seg: Segmentation) -> None:
        if not named:
            without_sources(seg)
        planes = {id(groups.PlanePositionSequence[0]): groups for groups in seg.PerFrameFunctionalGroupsSequence}
        for groups in planes.values():  # frames of several segments share their plane
            groups.PlanePositionSequence[0].ImagePositionPatient[axis] += by_mm

    return move


def in_space(uid: str) -> Callable[[Segmentation], None]:
    def put(seg: Segmentation) -> None:
        without_sources(seg)
        seg.FrameOfReferenceUID = uid

    return put


def of_study(uid: str) -> Callable[[Segmentation], None]:
    def put(seg: Segmentation) -> None:
        without_sources(seg)
        seg.StudyInstanceUID = uid

    return put


def tiled(seg: Segmentation) -> None:
    seg.TotalPixelMatrixRows, seg.TotalPixelMatrixColumns = 64, 56


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        (of_study("1.2.3"), "mask-geometry", "belongs to another study"),
        (in_space("1.2.3"), "mask-geometry", "another frame of reference"),
        (moved(2, 2.5), "mask-geometry", "other planes"),
        (moved(2, 1000.0), "mask-geometry", "none of its frames"),
        (moved(0, 3.0), "mask-geometry", "lies elsewhere"),
        (moved(0, 6.0), "mask-size", "does not cover"),
        (moved(0, 3.0, named=True), "mask-geometry", "lies elsewhere"),
        (moved(2, 5.0, named=True), "mask-geometry", "lies elsewhere"),
        (tiled, "mask-geometry", "tiles"),
    ],
)
def test_masks_that_lie_elsewhere(
    tmp_path: Path, change: Callable[[Segmentation], None], reason: str, said: str
) -> None:
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), SHAPES, EPIDURAL_AND_SUBDURAL, change)
    found, text = complaint(path, headers(tmp_path))
    assert (found, said in text) == (reason, True), text


def test_a_mask_of_thick_slices_says_nothing_of_the_thin_ones_between(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), SHAPES, EPIDURAL_AND_SUBDURAL)
    thin = [make_header(k, series=2, position_mm=(-84.0, -96.0, 2.5 * k)) for k in range(2 * SLICES - 1)]
    assert complaint(path, thin)[0] == "mask-geometry"


def test_a_mask_of_thin_slices_may_be_laid_onto_thick_ones(tmp_path: Path) -> None:
    """Its planes include those of the thick slices, and what is empty there is empty."""
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), SHAPES, EPIDURAL_AND_SUBDURAL)
    thick = [make_header(k, series=2, position_mm=(-84.0, -96.0, 10.0 * k)) for k in range(3)]
    assert_array_equal(read_mask(path, thick, UNKNOWN), BOTH[::2])


def test_a_coarser_grid(tmp_path: Path) -> None:
    geometry = {
        **turned((False, False), False),
        "pixel_measures": PixelMeasuresSequence([2 * SPACING_MM, 2 * SPACING_MM], 5.0),
    }
    pixels = np.ascontiguousarray(SHAPES[:, ::2, ::2])
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), pixels, EPIDURAL_AND_SUBDURAL, **geometry)
    assert complaint(path, headers(tmp_path))[0] == "mask-size"


def test_a_segment_of_something_else(tmp_path: Path) -> None:
    segments = [segment(1, "Perihematomal edema"), segment(2, "SDH")]
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), SHAPES, segments)
    assert complaint(path, headers(tmp_path)) == (
        "mask-values",
        "m.dcm: its segment 'Perihematomal edema' is none of the classes",
    )
    empty = SHAPES.copy()
    empty[..., 0] = False
    path = write_seg(tmp_path / "m.dcm", sources(tmp_path), empty, segments)
    assert_array_equal(read_mask(path, headers(tmp_path), UNKNOWN), expected(empty, 0, SUBDURAL))


def test_dicom_that_is_no_segmentation(tmp_path: Path) -> None:
    sources(tmp_path)
    reason, text = complaint(tmp_path / "0.dcm", headers(tmp_path))
    assert (reason, "CT Image Storage" in text) == ("mask-unreadable", True)


@given(seed=st.integers(0, 2**32 - 1))
def test_damaged_files_are_refused_and_nothing_else(written: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(written.read_bytes())
    header = content.index(b"\xe0\x7f\x10\x00")  # most of the file is pixels, which may be anything
    for place in rng.integers(132, header, rng.integers(1, 9)):
        content[place] = rng.integers(256)
    damaged = written.with_name("damaged.dcm")
    damaged.write_bytes(bytes(content[: rng.integers(132, len(content))] if seed % 4 == 0 else content))
    with suppress(UnusableMask):
        assert read_mask(damaged, headers(written.parent), UNKNOWN).shape == (SLICES, ROWS, COLUMNS)
