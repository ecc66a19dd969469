"""What the words of a CT header say of a series: descriptions are free text, and kernels are named by maker."""

import re
from collections.abc import Iterable
from typing import Final

_WITHOUT: Final = re.compile(r"\b(pre|non?|w/?o|without|un)[\s-]*(iv[\s-]*)?(contrast|enhanced|c\b)")
_ANGIOGRAPHY: Final = re.compile(r"angio|arterial|venous|venogra|perfusion|\b(cta|ctv|ctp|mra)\b")
_CONTRAST: Final = re.compile(
    r"contrast|enhanced|\bcect\b|\bpost\b(?!\W*(fossa|op|surg|trauma|tpa))|\+\s?c\b|\bc\s?\+|\d\s*cc\b"
)
_BONE: Final = re.compile(r"\b(bones?|lung|sharp|edge|petrous|inner ear|knochen|hueso|osseux)\b")
_BONE_KERNEL: Final = re.compile(r"bone|lung|edge|^[bhju][a-z]?[6-9]\d|^fc[3589]\d|^(e|l|y[a-e])$")
_SOFT_KERNEL: Final = re.compile(r"soft|stand|^std|^[bhjq][a-z]?[1-4]\d|^fc[0-26]\d|^u[abc]$")
"""Kernels by maker: GE words; Siemens (H31s, J40, Hr38); Canon (FC21); Philips (UB)."""


def plain(description: str) -> str:
    """A description in small letters, its words one space apart."""
    return re.sub(r"[_\s]+", " ", description.lower())


def says_angiography(description: str) -> bool:
    return bool(_ANGIOGRAPHY.search(plain(description)))


def says_contrast(agent: str, description: str) -> bool:
    """By ContrastBolusAgent, which some scanners fill with NONE, or by the description."""
    given = agent.upper() not in ("", "NONE", "NO", "N")
    return given or bool(_CONTRAST.search(_WITHOUT.sub(" ", plain(description))))


def says_bone(kernel: str, description: str) -> bool:
    return bool(_BONE_KERNEL.search(kernel.lower()) or _BONE.search(plain(description)))


def is_soft(kernel: str) -> bool:
    return bool(_SOFT_KERNEL.search(kernel.lower()))


def first_word_in(words: Iterable[str], description: str) -> str:
    """The first of `words` that stands in the description as a word of its own; empty where none does."""
    text = plain(description)
    return next((word for word in words if re.search(rf"(?<!\w){re.escape(plain(word))}(?!\w)", text)), "")
