"""A DICOM Segmentation (PS3.3 A.51), laid onto the slices it was drawn on.

Each frame finds its slice by the one source image it names, else by where its plane lies, never by its order. A slice
without a frame is a slice without blood: writers leave empty frames out.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
import pydicom
from highdicom.seg import Segmentation
from numpy.typing import NDArray

from client.archives import reading
from client.geometry import normal, orientation_of
from client.mask_grid import LPS_TO_RAS, TOLERANCE_MM, Drawing, UnusableMask, aligned
from client.segment_names import bits_of
from client.slice_header import SliceHeader

_KINDS: Final = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage and Label Map Segmentation Storage."""

_FAR_MM: Final = 100.0
"""How thick a frame is taken to be where it is laid onto one slice: its neighbours must never seem nearer."""

Source = tuple[str, int | None]
"""SOPInstanceUID, and the frame's number (from 1) in a multi-frame image."""


@dataclass(frozen=True)
class _Frame:
    """One frame before its pixels are read.

    segment: its number; None in a label map, whose pixels hold the numbers
    affine:  from (column, row, 0) to RAS mm; None where the file does not say
    """

    index: int
    segment: int | None
    source: Source | None
    affine: NDArray[np.float64] | None
    thickness_mm: float | None


def read_seg(content: bytes, name: str, slices: Sequence[SliceHeader]) -> Drawing:
    """What the file shows on the slices. Raises UnusableMask."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a writer got wrong and highdicom mends is no news to a hospital
            return _read(content, name, slices)
    except UnusableMask:
        raise
    except Exception as error:  # pydicom, highdicom and the decoders each raise their own
        raise UnusableMask("mask-unreadable", f"{name}: unreadable DICOM SEG ({type(error).__name__})") from None


def _read(content: bytes, name: str, slices: Sequence[SliceHeader]) -> Drawing:
    dataset = pydicom.dcmread(BytesIO(content))
    if dataset.SOPClassUID not in _KINDS:
        raise UnusableMask("mask-unreadable", f"{name}: DICOM, but no segmentation ({dataset.SOPClassUID.name})")
    seg = Segmentation.from_dataset(dataset, copy=False)
    if seg.is_tiled:
        raise UnusableMask("mask-geometry", f"{name}: a segmentation in tiles, of no CT slice")
    frames = list(_frames(seg))
    places = _places(seg, frames, slices, name)
    bits = np.zeros((len(slices), slices[0].rows, slices[0].columns), np.uint8)
    meaning = {number: bits_of(seg.get_segment_description(number)) for number in seg.segment_numbers}
    for frame in frames:
        place = places.get(frame.index)
        if place is not None:
            drawn = _drawn(seg, frame, meaning, name)
            if drawn.any():
                bits[place] |= _laid(drawn, frame, slices[place], name)
    return Drawing(bits, bool((bits > 1).any()))


def _frames(seg: Any) -> Iterator[_Frame]:
    """What the functional groups say of each frame (PS3.3 C.7.6.16)."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    for index, own in enumerate(seg.PerFrameFunctionalGroupsSequence):
        groups = _Groups(own, shared)
        segment = groups.item("SegmentIdentificationSequence")
        measures = groups.item("PixelMeasuresSequence")
        yield _Frame(
            index,
            int(segment.ReferencedSegmentNumber) if segment is not None else None,
            _source(groups.item("DerivationImageSequence")),
            _affine(groups.item("PlanePositionSequence"), groups.item("PlaneOrientationSequence"), measures),
            _thickness_mm(measures),
        )


@dataclass(frozen=True)
class _Groups:
    """Functional groups of a frame, its own before those that all share."""

    own: Any
    shared: Any

    def item(self, name: str) -> Any:
        """The one item of a group; None where there is none."""
        sequence = self.own.get(name) or self.shared.get(name)
        return sequence[0] if sequence else None


def _source(derivation: Any) -> Source | None:
    """The image that a frame was drawn on; None where it names none or several."""
    images = derivation.get("SourceImageSequence") if derivation is not None else None
    if not images or len(images) != 1:
        return None
    number = images[0].get("ReferencedFrameNumber")
    if number is not None and not isinstance(number, int):  # several frames
        return None
    return str(images[0].ReferencedSOPInstanceUID), None if number is None else int(number)


def _affine(position: Any, orientation: Any, measures: Any) -> NDArray[np.float64] | None:
    if position is None or orientation is None or measures is None or "PixelSpacing" not in measures:
        return None
    along_row, along_column = np.array(orientation.ImageOrientationPatient, np.float64).reshape(2, 3)
    between_rows, between_columns = map(float, measures.PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = along_row * between_columns
    affine[:3, 1] = along_column * between_rows
    affine[:3, 2] = np.cross(along_row, along_column) * _FAR_MM
    affine[:3, 3] = np.array(position.ImagePositionPatient, np.float64)
    affine[:3] *= LPS_TO_RAS[:, None]
    return affine


def _thickness_mm(measures: Any) -> float | None:
    known = [measures.get(name) for name in ("SpacingBetweenSlices", "SliceThickness")] if measures is not None else []
    return min((float(length) for length in known if length), default=None)


def _places(seg: Any, frames: Sequence[_Frame], slices: Sequence[SliceHeader], name: str) -> dict[int, int]:
    """Index of its slice by index of the frame. Raises UnusableMask where none lies on any."""
    number_of = {_source_of(header): number for number, header in enumerate(slices)}
    places = {frame.index: number_of[frame.source] for frame in frames if frame.source in number_of}
    # A frame of another slice than these was drawn on one that could not be read; if all are, on another series.
    rest = [frame for frame in frames if frame.affine is not None and (frame.source is None or not places)]
    if not places:
        _require_same_space(seg, slices[0], name)
    if rest:
        places |= _by_height(rest, set(places.values()), slices, name)
    if not places:
        raise UnusableMask("mask-geometry", f"{name}: none of its frames lies on a slice of the chosen series")
    return places


def _source_of(header: SliceHeader) -> Source:
    return header.sop_uid, None if header.frame is None else header.frame + 1


def _require_same_space(seg: Any, header: SliceHeader, name: str) -> None:
    """Raises for a file that names none of the slices and whose coordinates are not theirs."""
    if str(seg.get("StudyInstanceUID", "")) != header.study_uid:
        raise UnusableMask("mask-geometry", f"{name}: belongs to another study")
    of_mask, of_slice = str(seg.get("FrameOfReferenceUID", "")), _frame_of_reference(header)
    if of_mask and of_slice and of_mask != of_slice:
        raise UnusableMask("mask-geometry", f"{name}: was drawn in another frame of reference than the chosen series")


def _frame_of_reference(header: SliceHeader) -> str:
    """Empty where the slice's file does not say."""
    try:
        with reading(header.path) as file:
            tags = ["FrameOfReferenceUID"]
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags, force=True)
            return str(dataset.get("FrameOfReferenceUID", ""))
    except Exception:  # it could be read before; if it has gone, the places of the planes decide
        return ""


def _by_height(frames: Sequence[_Frame], covered: Set[int], slices: Sequence[SliceHeader], name: str) -> dict[int, int]:
    """Index of the nearest slice by index of the frame, where it is near enough; `covered` slices have their own.

    Raises UnusableMask where frames lie closer to a slice without one than to each other: then they were drawn on
    other planes, and its lack of a frame does not mean that it shows no blood.
    """
    orientation = orientation_of(slices[0])
    if orientation is None or any(header.position_mm is None for header in slices):
        raise UnusableMask("mask-geometry", f"{name}: the slices have no position")
    across = np.array(normal(orientation))
    of_slices = np.array([header.position_mm for header in slices]) @ across
    of_frames = np.array([frame.affine[:3, 3] * LPS_TO_RAS for frame in frames if frame.affine is not None]) @ across
    distance_mm = np.abs(of_frames[:, None] - of_slices)  # (frames, slices)
    near_mm = min(TOLERANCE_MM, _step_mm(of_slices) / 2)
    chosen: dict[tuple[int, int | None], int] = {}
    for k in np.argsort(distance_mm.min(axis=1), kind="stable"):
        place = int(distance_mm[k].argmin())
        if distance_mm[k, place] <= near_mm:
            chosen.setdefault((place, frames[k].segment), frames[k].index)
    lacking = sorted(set(range(len(slices))) - covered - {place for place, _ in chosen})
    step_mm = min(_step_mm(of_frames), *(frame.thickness_mm or np.inf for frame in frames))
    if lacking and np.isfinite(step_mm) and distance_mm[:, lacking].min() < step_mm - near_mm:
        raise UnusableMask("mask-geometry", f"{name}: was drawn on other planes than the chosen series")
    return {index: place for (place, _), index in chosen.items()}


def _step_mm(heights_mm: NDArray[np.float64]) -> float:
    """Smallest distance between two planes; infinite where there is but one."""
    return float(np.diff(np.unique(heights_mm.round(2))).min(initial=np.inf))


def _drawn(seg: Any, frame: _Frame, meaning: Mapping[int, int | None], name: str) -> NDArray[np.uint8]:
    """Mask bits of one frame, (rows, columns) as stored."""
    stored = seg.get_stored_frame(frame.index, as_index=True)
    if frame.segment is None:
        values = np.unique(stored)
        of_value = [0 if value == 0 else _known(seg, int(value), meaning, name) for value in values]
        mapped: NDArray[np.uint8] = np.array(of_value, np.uint8)[np.searchsorted(values, stored)]
        return mapped
    half = int(seg.MaximumFractionalValue) / 2 if seg.SegmentationType == "FRACTIONAL" else 1
    shown: NDArray[np.bool_] = stored >= max(half, 1)
    bits = _known(seg, frame.segment, meaning, name) if shown.any() else 0
    return shown.astype(np.uint8) * np.uint8(bits)


def _known(seg: Any, segment: int, meaning: Mapping[int, int | None], name: str) -> int:
    bits = meaning.get(segment)
    if bits is None:
        label = seg.get_segment_description(segment).segment_label
        raise UnusableMask("mask-values", f"{name}: its segment {label[:40]!r} is none of the classes")
    return bits


def _laid(drawn: NDArray[np.uint8], frame: _Frame, header: SliceHeader, name: str) -> NDArray[np.uint8]:
    """A frame's bits on the pixels of its slice, (rows, columns)."""
    if frame.affine is not None and header.position_mm is not None:
        laid: NDArray[np.uint8] = aligned(drawn.T[:, :, None], frame.affine, [header], name)[0]
        return laid
    if drawn.shape != (header.rows, header.columns):
        size = " x ".join(map(str, drawn.shape))
        raise UnusableMask("mask-size", f"{name}: {size} pixels for slices of {header.rows} x {header.columns}")
    return drawn
