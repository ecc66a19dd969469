"""The slices of one series: those that are none dropped, one at each position, in order; each drop with its reason."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Final

from bloodnet_model.errors import UnusableSlice
from client.geometry import height_mm, orientation_of
from client.ledger import Entry
from client.slice_header import SliceHeader, require_ct_pixels

SAME_POSITION_MM: Final = 0.1
"""Two slices of one series that lie closer are one: no head CT is sampled as finely."""

_COMPUTED: Final = frozenset({"SECONDARY", "PROJECTION IMAGE", "MIP", "MINIP", "PERFUSION"})
"""Values of ImageType (PS3.3 C.8.2.1.1.1) of images that no longer show one slice of tissue."""


@dataclass(frozen=True)
class SeriesSlices:
    """What is left of a series.

    slices:  from inferior to superior
    dropped: a ledger line for every other file
    placed:  whether positions ordered them; InstanceNumber did else
    """

    slices: tuple[SliceHeader, ...]
    dropped: tuple[Entry, ...] = ()
    placed: bool = True

    def keep(self, slices: Iterable[SliceHeader], dropped: Iterable[Entry]) -> "SeriesSlices":
        return replace(self, slices=tuple(slices), dropped=(*self.dropped, *dropped))


def cleaned(headers: Iterable[SliceHeader]) -> SeriesSlices:
    """The slices of one series, of all its files."""
    series = SeriesSlices(tuple(headers))
    rules: tuple[Callable[[SeriesSlices], SeriesSlices], ...] = (_images, _one_geometry, _one_a_uid, _one_a_position)
    for rule in rules:
        series = rule(series)
    return series


def heights_mm(slices: Sequence[SliceHeader]) -> tuple[float, ...]:
    """Places along the normal of slices in order; empty where one has none."""
    heights = [_height(header) for header in slices]
    known = tuple(height for height in heights if height is not None)
    return known if len(known) == len(heights) else ()


def thickness_mm(slices: Sequence[SliceHeader]) -> float:
    """Median SliceThickness; where the header lacks it (RSNA 2019), the median distance between slices."""
    stated = [header.thickness_mm for header in slices if header.thickness_mm is not None]
    gaps = [above - below for below, above in pairwise(heights_mm(slices))]
    return median(stated or gaps or [0.0])


def _images(series: SeriesSlices) -> SeriesSlices:
    """Those that are a slice in HU, as far as the header tells."""
    faults = [_fault(header) for header in series.slices]
    pairs = list(zip(series.slices, faults, strict=True))
    dropped = (_dropped(header, fault.reason, str(fault)) for header, fault in pairs if fault is not None)
    return series.keep((header for header, fault in pairs if fault is None), dropped)


def _fault(header: SliceHeader) -> UnusableSlice | None:
    try:
        require_ct_pixels(header)
    except UnusableSlice as fault:
        return fault
    if "LOCALIZER" in header.image_type:
        return UnusableSlice("localizer", "")
    if _COMPUTED & set(header.image_type):
        return UnusableSlice("secondary", "\\".join(header.image_type))
    if header.spacing_mm is None or min(header.spacing_mm) <= 0:
        return UnusableSlice("no-spacing", "")
    if orientation_of(header) is None:
        return UnusableSlice("no-orientation", "")
    return None


def _one_geometry(series: SeriesSlices) -> SeriesSlices:
    """Those of the commonest orientation, matrix and spacing; of equally common ones, the smallest."""
    counts = Counter(map(_geometry, series.slices))
    majority = min(counts, key=lambda geometry: (-counts[geometry], geometry), default=None)
    odd = [header for header in series.slices if _geometry(header) != majority]
    dropped = (_dropped(h, "mixed-geometry", f"{h.rows} x {h.columns}, {h.orientation}") for h in odd)
    return series.keep((header for header in series.slices if _geometry(header) == majority), dropped)


def _geometry(header: SliceHeader) -> tuple[float, ...]:
    orientation, spacing = orientation_of(header) or (), header.spacing_mm or ()
    rounded = (*(round(part, 2) + 0.0 for part in orientation), *(round(part, 3) for part in spacing))
    return (header.rows, header.columns, *rounded)


def _one_a_uid(series: SeriesSlices) -> SeriesSlices:
    """Of equal SOPInstanceUIDs, the first by path."""
    kept: dict[tuple[str, int | None], SliceHeader] = {}
    dropped = []
    for header in sorted(series.slices, key=lambda header: (str(header.path), header.frame or 0)):
        first = kept.setdefault((header.sop_uid, header.frame), header)
        if first is not header:
            dropped.append(_dropped(header, "duplicate-file", f"kept {first.path.name}"))
    return series.keep(kept.values(), dropped)


def _one_a_position(series: SeriesSlices) -> SeriesSlices:
    """From inferior to superior; by InstanceNumber where the whole series has no positions."""
    places = [_height(header) for header in series.slices]
    placed = not series.slices or any(place is not None for place in places)
    if not placed:
        places = [None if h.instance_number is None else float(h.instance_number) for h in series.slices]
    known = [(place, header) for place, header in zip(places, series.slices, strict=True) if place is not None]
    dropped = [_dropped(h, "no-position") for place, h in zip(places, series.slices, strict=True) if place is None]
    kept: list[SliceHeader] = []
    last = float("-inf")
    for place, header in sorted(known, key=lambda pair: (pair[0], *_first_of_a_position(pair[1]))):
        if place - last < SAME_POSITION_MM:
            dropped.append(_dropped(header, "duplicate-position", f"kept {kept[-1].path.name}"))
        else:
            kept.append(header)
            last = place
    return replace(series.keep(kept, dropped), placed=placed)


def _first_of_a_position(header: SliceHeader) -> tuple[int, str, int]:
    return header.instance_number or 0, header.sop_uid, header.frame or 0


def _height(header: SliceHeader) -> float | None:
    return height_mm(header, orientation_of(header) or ())


def _dropped(header: SliceHeader, reason: str, detail: str = "") -> Entry:
    return Entry("file", str(header.path), reason, detail)
