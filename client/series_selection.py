"""Which series of a study is read: one non-contrast soft-tissue axial series, by rules that name what they reject.

Slices are dropped first (`client.series_slices`), then whole series: too far from axial, too few slices, derived,
angiography, contrast, bone, and those that the site excludes. Of what is left, the first by: a word that the site
prefers, soft-tissue kernel, thickness nearest the preferred one, most slices, UID.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from client.geometry import degrees_from_axial, orientation_of
from client.ledger import Entry
from client.series_slices import SeriesSlices, cleaned, thickness_mm
from client.series_words import first_word_in, is_soft, says_angiography, says_bone, says_contrast
from client.site_settings import SeriesRules
from client.slice_distances import remark_on
from client.slice_header import SliceHeader

_STAGES: Final = ("not-axial", "too-few-slices", "derived", "angiography", "contrast", "bone", "excluded")
"""The order in which whole series are judged; a study without a usable one is given the reason that came last."""


@dataclass(frozen=True)
class Selection:
    """The outcome for one study.

    slices:  of the chosen series, from inferior to superior; empty where none is usable
    reason:  why none is usable
    entries: a ledger line for every series, and for every file that is not in `slices`
    """

    slices: tuple[SliceHeader, ...]
    reason: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class _Judged:
    """A series after all rules, and the one against it; empty where it is usable."""

    uid: str
    series: SeriesSlices
    reason: str
    detail: str


def select_series(headers: Iterable[SliceHeader], rules: SeriesRules) -> Selection:
    """Judge all series of one study; see the head of this file for the rules."""
    by_uid: defaultdict[str, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        by_uid[header.series_uid].append(header)
    judged = [_judged(uid, cleaned(slices), rules) for uid, slices in sorted(by_uid.items())]
    usable = [one for one in judged if not one.reason]
    chosen = min(usable, key=lambda one: _preference(one, rules), default=None)
    if chosen is None:
        return Selection((), _furthest(judged), tuple(entry for one in judged for entry in _entries(one)))
    detail = f"series {chosen.uid} fits better"
    rest = [
        one if one.reason or one is chosen else replace(one, reason="other-series", detail=detail) for one in judged
    ]
    return Selection(chosen.series.slices, "", tuple(entry for one in rest for entry in _entries(one)))


def _judged(uid: str, series: SeriesSlices, rules: SeriesRules) -> _Judged:
    if series.slices:
        return _Judged(uid, series, *_objection(series.slices, rules))
    commonest = Counter(entry.reason for entry in series.dropped).most_common(1)[0][0]
    return _Judged(uid, series, commonest, "")


def _objection(slices: Sequence[SliceHeader], rules: SeriesRules) -> tuple[str, str]:
    """Reason and detail against a whole series; empty where it is usable."""
    first = slices[0]
    words, kernel, agent = first.description, first.kernel, first.contrast_agent
    tilt = degrees_from_axial(orientation_of(first) or ())
    derived = sum("DERIVED" in header.image_type for header in slices)
    if tilt > rules.largest_tilt_degrees:
        return "not-axial", f"{tilt:.0f} degrees from axial"
    if len(slices) < rules.minimum_slices:
        return "too-few-slices", f"{len(slices)} of at least {rules.minimum_slices}"
    if 2 * derived > len(slices) and not rules.derived:
        return "derived", "\\".join(first.image_type)
    if says_angiography(words):
        return "angiography", words
    if says_contrast(agent, words):
        return "contrast", agent or words
    if says_bone(kernel, words):
        return "bone", f"{kernel} {words}".strip()
    if word := first_word_in(rules.exclude, words):
        return "excluded", f"{word}, in {words}"
    return "", ""


def _preference(judged: _Judged, rules: SeriesRules) -> tuple[bool, bool, float, int, str]:
    """Sort key: the smallest is read."""
    slices = judged.series.slices
    preferred = bool(first_word_in(rules.prefer, slices[0].description))
    from_preferred_mm = abs(thickness_mm(slices) - rules.preferred_thickness_mm)
    return not preferred, not is_soft(slices[0].kernel), from_preferred_mm, -len(slices), judged.uid


def _furthest(judged: Sequence[_Judged]) -> str:
    reasons = [one.reason for one in judged]
    return max(reasons, key=lambda reason: _STAGES.index(reason) if reason in _STAGES else -1)


def _entries(judged: _Judged) -> list[Entry]:
    """The series' own line, then its files' lines; the files of a usable series follow when they are read."""
    series = judged.series
    if judged.reason:
        rest = [Entry("file", str(header.path), judged.reason) for header in series.slices]
        return [Entry("series", judged.uid, judged.reason, judged.detail), *series.dropped, *rest]
    remark, words = remark_on(series.slices)
    if not series.placed:
        remark = "by-instance-number"
    kernel = series.slices[0].kernel or "unknown"
    detail = f"{len(series.slices)} slices, {thickness_mm(series.slices):g} mm, kernel {kernel}"
    return [Entry("series", judged.uid, remark, "; ".join(filter(None, (detail, words)))), *series.dropped]
