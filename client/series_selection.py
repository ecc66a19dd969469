"""Which series of a study is read: one non-contrast soft-tissue axial series, by rules that name what they reject.

Files are dropped first (no slice in HU, localizers, secondary captures, another geometry than the series' majority,
duplicates), then whole series (tilted beyond 35 degrees, too few slices, contrast, bone). Of what is left, the first
by: soft-tissue kernel, thickness nearest 5 mm, most slices, UID.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Final

from bloodnet_model.errors import UnusableSlice
from client.dicom import SliceHeader, require_ct_pixels
from client.geometry import degrees_from_axial, height_mm, orientation_of
from client.ledger import Entry

LARGEST_TILT_DEGREES: Final = 35.0
PREFERRED_THICKNESS_MM: Final = 5.0
SAME_POSITION_MM: Final = 0.1
"""Two slices of one series that lie closer are one: no head CT is sampled as finely."""

_STAGES: Final = ("not-axial", "too-few-slices", "contrast", "bone")
"""The order in which whole series are judged; a study without a usable one is given the reason that came last."""

_COMPUTED: Final = frozenset({"SECONDARY", "PROJECTION IMAGE", "MIP", "MINIP", "PERFUSION"})
"""Values of ImageType (PS3.3 C.8.2.1.1.1) of images that no longer show one slice of tissue."""

_WITHOUT: Final = re.compile(r"\b(pre|non?|w/?o|without|un)[\s-]*(iv[\s-]*)?(contrast|enhanced|c\b)")
_CONTRAST: Final = re.compile(
    r"contrast|enhanced|angio|arterial|venous|venogra|perfusion|\b(cta|ctv|cect)\b|\bpost\b(?!\W*(fossa|op|surg|trauma|tpa))"
    r"|\+\s?c\b|\bc\s?\+|\d\s*cc\b"
)
_BONE: Final = re.compile(r"\b(bones?|lung|sharp|edge|petrous|inner ear|knochen|hueso|osseux)\b")
_BONE_KERNEL: Final = re.compile(r"bone|lung|edge|^[bhju][a-z]?[6-9]\d|^fc[3589]\d|^(e|l|y[a-e])$")
_SOFT_KERNEL: Final = re.compile(r"soft|stand|^std|^[bhjq][a-z]?[1-4]\d|^fc[0-26]\d|^u[abc]$")
"""Kernels by maker: GE words; Siemens (H31s, J40, Hr38); Canon (FC21); Philips (UB)."""


@dataclass(frozen=True)
class Selection:
    """The outcome for one study."""

    slices: tuple[SliceHeader, ...]
    """Of the chosen series, from inferior to superior; empty where none is usable."""
    reason: str
    """Why none is usable."""
    entries: tuple[Entry, ...]
    """A ledger line for every series, and for every file that is not in `slices`."""


@dataclass
class _Series:
    """One series while it is judged: files move from `slices` to `dropped`, each with its reason."""

    uid: str
    slices: list[SliceHeader]
    dropped: list[Entry] = field(default_factory=list)
    reason: str = ""
    detail: str = ""
    remark: str = ""

    def drop(self, header: SliceHeader, reason: str, detail: str = "") -> None:
        self.dropped.append(Entry("file", str(header.path), reason, detail))


def select_series(headers: Iterable[SliceHeader], minimum_slices: int) -> Selection:
    """Judge all series of one study; see the head of this file for the rules."""
    by_uid: defaultdict[str, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        by_uid[header.series_uid].append(header)
    judged = [_judged(_Series(uid, slices), minimum_slices) for uid, slices in sorted(by_uid.items())]
    usable = sorted((series for series in judged if not series.reason), key=_preference)
    for series in usable[1:]:
        series.reason, series.detail = "other-series", f"series {usable[0].uid} fits better"
    entries = [entry for series in judged for entry in _entries(series)]
    if not usable:
        return Selection((), _furthest(judged), tuple(entries))
    return Selection(tuple(usable[0].slices), "", tuple(entries))


def _judged(series: _Series, minimum_slices: int) -> _Series:
    """The series after all rules, its slices in order."""
    for rule in (_keep_ct_slices, _keep_majority_geometry, _keep_first_of_duplicates, _order):
        rule(series)
    series.reason, series.detail = _objection(series, minimum_slices)
    return series


def _objection(series: _Series, minimum_slices: int) -> tuple[str, str]:
    """Reason and detail against the whole series; empty where it is usable."""
    if not series.slices:
        return Counter(entry.reason for entry in series.dropped).most_common(1)[0][0], ""
    first = series.slices[0]
    tilt = degrees_from_axial(orientation_of(first) or ())
    words = re.sub(r"[_\s]+", " ", first.description.lower())
    if tilt > LARGEST_TILT_DEGREES:
        return "not-axial", f"{tilt:.0f} degrees from axial"
    if len(series.slices) < minimum_slices:
        return "too-few-slices", f"{len(series.slices)} of at least {minimum_slices}"
    if _says_contrast(first, words):
        return "contrast", first.contrast_agent or first.description
    if _BONE_KERNEL.search(first.kernel.lower()) or _BONE.search(words):
        return "bone", f"{first.kernel} {first.description}".strip()
    return "", ""


def _keep_ct_slices(series: _Series) -> None:
    kept = []
    for header in series.slices:
        fault = _fault(header)
        if fault is None:
            kept.append(header)
        else:
            series.drop(header, fault.reason, str(fault))
    series.slices = kept


def _fault(header: SliceHeader) -> UnusableSlice | None:
    """Why this file cannot be a slice of any series, as far as its header tells."""
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


def _keep_majority_geometry(series: _Series) -> None:
    """Keep the commonest orientation, matrix and spacing; of equally common ones the smallest."""
    counts = Counter(map(_geometry, series.slices))
    majority = min(counts, key=lambda geometry: (-counts[geometry], geometry), default=None)
    kept = []
    for header in series.slices:
        if _geometry(header) == majority:
            kept.append(header)
        else:
            series.drop(header, "mixed-geometry", f"{header.rows} x {header.columns}, {header.orientation}")
    series.slices = kept


def _geometry(header: SliceHeader) -> tuple[float, ...]:
    orientation, spacing = orientation_of(header) or (), header.spacing_mm or ()
    rounded = (*(round(part, 2) + 0.0 for part in orientation), *(round(part, 3) for part in spacing))
    return (header.rows, header.columns, *rounded)


def _keep_first_of_duplicates(series: _Series) -> None:
    """Of equal SOPInstanceUIDs, the first by path."""
    kept: dict[str, SliceHeader] = {}
    for header in sorted(series.slices, key=lambda header: str(header.path)):
        first = kept.setdefault(header.sop_uid, header)
        if first is not header:
            series.drop(header, "duplicate-file", f"kept {first.path.name}")
    series.slices = list(kept.values())


def _order(series: _Series) -> None:
    """From inferior to superior, one slice a position; by InstanceNumber where the whole series has no positions."""
    positions = [_height(header) for header in series.slices]
    if series.slices and all(position is None for position in positions):
        series.remark = "by-instance-number"
        positions = [None if h.instance_number is None else float(h.instance_number) for h in series.slices]
    placed = []
    for header, position in zip(series.slices, positions, strict=True):
        if position is None:
            series.drop(header, "no-position")
        else:
            placed.append((position, header.instance_number or 0, header.sop_uid, header))
    series.slices, last = [], float("-inf")
    for position, _, _, header in sorted(placed, key=lambda place: place[:3]):
        if position - last < SAME_POSITION_MM:
            series.drop(header, "duplicate-position", f"kept {series.slices[-1].path.name}")
        else:
            series.slices.append(header)
            last = position


def _height(header: SliceHeader) -> float | None:
    return height_mm(header, orientation_of(header) or ())


def _says_contrast(header: SliceHeader, words: str) -> bool:
    agent = header.contrast_agent.upper() not in ("", "NONE", "NO", "N")
    return agent or bool(_CONTRAST.search(_WITHOUT.sub(" ", words)))


def _preference(series: _Series) -> tuple[bool, float, int, str]:
    """Sort key: the smallest is read."""
    soft = bool(_SOFT_KERNEL.search(series.slices[0].kernel.lower()))
    return not soft, abs(thickness_mm(series.slices) - PREFERRED_THICKNESS_MM), -len(series.slices), series.uid


def thickness_mm(slices: Sequence[SliceHeader]) -> float:
    """Median SliceThickness; where the header lacks it (RSNA 2019), the median distance between slices."""
    stated = [header.thickness_mm for header in slices if header.thickness_mm is not None]
    heights = [height for height in map(_height, slices) if height is not None]
    gaps = [above - below for below, above in pairwise(heights)]
    return median(stated or gaps or [0.0])


def _furthest(judged: Sequence[_Series]) -> str:
    reasons = [series.reason for series in judged]
    return max(reasons, key=lambda reason: _STAGES.index(reason) if reason in _STAGES else -1)


def _entries(series: _Series) -> list[Entry]:
    """The series' own line, then its files' lines; the files of a usable series follow when they are read."""
    if not series.reason:
        first = series.slices[0]
        detail = f"{len(series.slices)} slices, {thickness_mm(series.slices):g} mm, kernel {first.kernel or 'unknown'}"
        return [Entry("series", series.uid, series.remark, detail), *series.dropped]
    rest = [Entry("file", str(header.path), series.reason) for header in series.slices]
    return [Entry("series", series.uid, series.reason, series.detail), *series.dropped, *rest]
