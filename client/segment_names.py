"""Which kind of blood a segment of a DICOM SEG shows, by its label and by the coded type of what it shows."""

import re
import unicodedata
from typing import Final

from highdicom.seg import SegmentDescription
from highdicom.sr import CodedConcept

from bloodnet_model.labels import CLASSES

_HEM: Final = r"h[ae]{1,2}m"  # in American, British and accents left out
_WORDS: Final = tuple(
    re.compile(words)
    for words in (
        rf"{_HEM}orr?h?ag|{_HEM}atom|bleed|blood|blutung|\bich\b",
        r"epi\W?dural|extra\W?dural|\bedh\b",
        rf"intra\W?parenchym|intra\W?[cz]erebral|(parenchym\w*|cerebral)\W+({_HEM}|bleed)|\biph\b",
        rf"intra\W?ventri[ck]|ventricular\W+({_HEM}|bleed)|\bivh\b",
        r"sub\W?arach|\bsah\b",
        r"sub\W?dural|\bsdh\b",
    )
)
"""In the order of the classes; the first are those that name no kind."""

_NO_BLOOD: Final = re.compile(
    r"o?edem|odem|hygrom|effusion|infar[ck]t|isch|space|cistern|drain|[ck]athet|[ck]al[ck]if|tumou?r|vessel|aneurysm"
    r"|\b(no|not|non|without)\b"
)
"""What stands beside blood, or in its place, and is called by its name."""

_CODES: Final = {
    "50960005": 0,  # hemorrhage
    "35566002": 0,  # hematoma
    "87612001": 0,  # blood
    "75753009": 0,  # blood clot
    "1386000": 0,  # intracranial hemorrhage
    "274100004": 2,  # cerebral hemorrhage
    "21454007": 4,  # subarachnoid hemorrhage
    "35486000": 5,  # subdural hemorrhage
}
"""SNOMED CT codes for those whose meaning is written in another language; else the words of the meaning tell."""


def bits_of(segment: SegmentDescription) -> int | None:
    """Mask bits of the segment's pixels; bit `any` alone for blood of an unnamed kind, None for what is none.

    Label and type may each name the kind, and must not name two.
    """
    kind = segment.segmented_property_type
    said = _plain(f"{segment.segment_label} / {kind.meaning}")
    if _NO_BLOOD.search(said):
        return None
    where = _plain(" / ".join(region.meaning for region in segment.anatomic_regions))
    found = {j for j, words in enumerate(_WORDS) if words.search(said)} | _coded(kind)
    if found:  # a hemorrhage in the subdural space is one
        found |= {j for j in range(1, len(CLASSES)) if _WORDS[j].search(where)}
    named = found - {0}
    if len(named) > 1 or not found:
        return None
    return 1 | 1 << named.pop() if named else 1


def _plain(text: str) -> str:
    """In small letters without accents, and with spaces for underscores."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c)).replace(
        "_", " "
    )


def _coded(kind: CodedConcept) -> set[int]:
    return {_CODES[kind.value]} if kind.scheme_designator == "SCT" and kind.value in _CODES else set()
