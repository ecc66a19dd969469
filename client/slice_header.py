"""What is known of one slice before its pixels are read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bloodnet_model.errors import UnusableSlice
from client.groups import UNKNOWN_GROUP

LARGEST_SLICE_PIXELS: Final = 1 << 26
"""8192 by 8192: more than any CT scanner writes, so that junk in a header cannot ask for all memory."""


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How the pixels of one slice are stored (PS3.3 C.7.6.3) and what turns them into HU (C.11.1)."""

    bits_allocated: int
    bits_stored: int
    signed: bool
    samples: int
    frames: int
    """NumberOfFrames of the whole file."""
    slope: float | None
    intercept: float | None
    offset: int | None
    """Where the value of PixelData starts: in the file, or in the inflated stream of a deflated one."""
    bytes: int | None
    """Announced length of the value, 0xFFFFFFFF where it is encapsulated; None where the file has no PixelData."""


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """One slice: lengths in mm, positions in DICOM's LPS coordinates."""

    path: Path
    sop_uid: str
    series_uid: str
    study_uid: str
    patient_id: str
    accession_number: str
    modality: str
    image_type: tuple[str, ...]
    description: str
    kernel: str
    contrast_agent: str
    thickness_mm: float | None
    instance_number: int | None
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    rows: int
    columns: int
    transfer_syntax: str
    """How the file is written; of a file without meta group, what was found out."""
    pixels: PixelLayout
    frame: int | None = None
    """Which frame of an enhanced multi-frame file, from 0; None for a file of one slice."""
    padding: int | None = None
    """PixelPaddingValue in stored values, whichever way its bits were spelled."""
    burned_in: bool = False
    """BurnedInAnnotation says YES."""
    identified: bool = False
    """A name, birth date, address or telephone number of the patient is there and looks like one."""
    scanner: str = UNKNOWN_GROUP
    """Manufacturer and model, as `scanner_group` makes one word of them."""

    @property
    def patient(self) -> str:
        """Whom the study belongs to: PatientID, or the study itself where an export emptied it."""
        return self.patient_id or self.study_uid

    def to_json(self) -> str:
        """All but the path, as a list in the order of the fields."""
        values = [getattr(self, name) for name in _FIELDS]
        layout = self.pixels
        return json.dumps([*values, [getattr(layout, name) for name in _LAYOUT]], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, path: Path) -> Self:
        """The header that `to_json` wrote. Raises ValueError for the text of another version."""
        *values, layout = json.loads(text)
        if len(values) != len(_FIELDS) or len(layout) != len(_LAYOUT):
            raise ValueError("written by another version")
        known = dict(zip(_FIELDS, values, strict=True))
        for name in _TUPLES:
            if known[name] is not None:
                known[name] = tuple(known[name])
        return cls(path=path, pixels=PixelLayout(*layout), **known)


_LAYOUT: Final = tuple(PixelLayout.__dataclass_fields__)
_FIELDS: Final = tuple(name for name in SliceHeader.__dataclass_fields__ if name not in ("path", "pixels"))
_TUPLES: Final = ("image_type", "position_mm", "orientation", "spacing_mm")


def require_ct_pixels(header: SliceHeader) -> tuple[float, float]:
    """RescaleSlope and RescaleIntercept of a header that announces one greyscale slice; raises UnusableSlice."""
    layout, name = header.pixels, header.path.name
    if layout.bytes is None or not header.rows * header.columns:
        raise UnusableSlice("no-pixels", f"{name}: holds no pixel data.")
    if layout.frames > 1 and header.frame is None:
        raise UnusableSlice("no-position", f"{name}: holds {layout.frames} frames and says of none where it lies.")
    if layout.samples != 1:
        raise UnusableSlice("not-greyscale", f"{name}: holds {layout.samples} colours a pixel, no HU.")
    if header.rows * header.columns > LARGEST_SLICE_PIXELS:
        raise UnusableSlice("wrong-shape", f"{name}: announces {header.rows} x {header.columns} pixels; no CT does.")
    if layout.slope is None or layout.intercept is None:
        raise UnusableSlice("no-rescale", f"{name}: RescaleSlope or RescaleIntercept is missing, so HU are unknown.")
    return layout.slope, layout.intercept
