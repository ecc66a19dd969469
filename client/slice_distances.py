"""How far apart are the slices of a series, and is each where its thickness puts it? Gaps and overlaps, in mm."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from client.series_slices import heights_mm
from client.slice_header import SliceHeader

WIDE: Final = 1.5
"""A distance that many times as wide as the series' own may hide a missing slice."""

CLOSE: Final = 0.9
"""Slices closer than this part of their thickness overlap by more than rounding and table steps explain."""

_FEW: Final = 3
"""So many equal pairs tell what distance is the series' own where its thickness changes on the way."""


@dataclass(frozen=True)
class _Pair:
    """Two neighbours: where the lower one lies, how far the other is, how thick both are on average."""

    place_mm: float
    distance_mm: float
    thickness_mm: float | None


def usual_distance_mm(slices: Sequence[SliceHeader]) -> float:
    """Median distance of neighbours along the normal, of slices in order, so that a missing one does not count.

    NaN for a single slice, and where one of them has no position.
    """
    return median([high - low for low, high in pairwise(heights_mm(slices))] or [math.nan])


def remark_on(slices: Sequence[SliceHeader]) -> tuple[str, str]:
    """The gravest remark of the ledger on slices in order, and all of them in words; empty where there is none."""
    heights = heights_mm(slices)
    pairs = [
        _Pair(low, high - low, _mean(below.thickness_mm, above.thickness_mm))
        for (low, high), (below, above) in zip(pairwise(heights), pairwise(slices), strict=False)
    ]
    found = {"gap": _gaps(pairs), "mixed-thickness": _thicknesses(slices), "overlap": _overlaps(pairs)}
    told = {code: words for code, words in found.items() if words}
    return next(iter(told), ""), "; ".join(told.values())


def _gaps(pairs: Sequence[_Pair]) -> str:
    if not pairs:
        return ""
    by_thickness: defaultdict[float | None, list[float]] = defaultdict(list)
    for pair in pairs:
        by_thickness[pair.thickness_mm].append(pair.distance_mm)
    own = {thickness: median(distances) for thickness, distances in by_thickness.items() if len(distances) >= _FEW}
    widest = max(own.values(), default=median(pair.distance_mm for pair in pairs))
    lowest = pairs[0].place_mm
    gaps = [
        f"{pair.distance_mm:.3g} mm from {pair.place_mm - lowest:.0f} mm on"
        for pair in pairs
        if pair.distance_mm > WIDE * own.get(pair.thickness_mm, widest)
    ]
    return f"gap of {', '.join(gaps)}" if gaps else ""


def _thicknesses(slices: Sequence[SliceHeader]) -> str:
    counts = Counter(header.thickness_mm for header in slices if header.thickness_mm is not None)
    if len(counts) < 2:
        return ""
    return "thickness " + ", ".join(f"{thickness:g} mm in {n}" for thickness, n in sorted(counts.items())) + " slices"


def _overlaps(pairs: Sequence[_Pair]) -> str:
    close = [p for p in pairs if p.thickness_mm is not None and p.distance_mm < CLOSE * p.thickness_mm]
    if not close:
        return ""
    most = max((pair.thickness_mm or 0.0) - pair.distance_mm for pair in close)
    return f"{len(close)} of {len(pairs)} neighbours overlap by up to {most:.3g} mm"


def _mean(below: float | None, above: float | None) -> float | None:
    return None if below is None or above is None else round((below + above) / 2, 3)
